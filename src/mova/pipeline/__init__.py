"""The pipeline in diffusers' words: from prompts, images, videos and audio to clips, for every verb that makes them."""
