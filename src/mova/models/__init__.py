"""The networks: tensors in, tensors out, no schedule, no process group.

`dual_tower.DualTower` is the joint forward; it is made of a `tower.VideoTower`, a `tower.AudioTower` (both from one
block) and a `bridge.CrossModalBridge`. `audio_vae.AudioAutoencoder` turns audio into latents and back; the video
autoencoder and the text encoder come from diffusers and transformers; in the command, which ends with its clip,
`text_encoder.TextEncoder` stands for the latter. Attribute names are the published state-dict names.
"""
