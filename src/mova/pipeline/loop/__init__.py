"""The denoising loop of a pipeline: both experts, the step cache, streams and processes around it."""
