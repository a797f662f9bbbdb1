"""A model's folder to a pipeline and back: components checked, read, quantised, sharded, saved."""
