"""Clips as data: where they come from, how they are encoded once, and the batches that are made of them."""
