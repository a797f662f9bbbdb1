"""From media to what the towers eat, and back: prompts, frames and audio to embeddings and latents.

Used by `generate` and `train` alike, so that both see the same numbers. Nothing here chooses a device: it follows from
the tensors and from the autoencoder that is passed in.
"""
