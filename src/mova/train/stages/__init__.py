"""One file per stage of a run: text encoder, autoencoders, latents, audio tower, joint model."""
