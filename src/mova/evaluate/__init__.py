"""Measure clips: so far on the toy world, where the truth is known. Generation is handed in, never imported."""
