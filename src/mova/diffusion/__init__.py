"""Flow matching for two modalities: schedule, guidance, samplers, noise and the denoising loop.

Nothing here knows a model: `denoise` takes a function that predicts velocities.
"""
