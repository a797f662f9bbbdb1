"""Clips longer than a model makes at once: windows made one after the other or together, and what joins them."""
