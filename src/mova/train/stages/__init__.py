"""One file per stage of the ladder: text encoder, autoencoders, latents, audio tower, joint model."""
