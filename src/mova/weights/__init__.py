"""Weights between files and modules: where a model is, what its files hold, reading, checking and rewriting it."""
