"""Benchmarks as data: what a model is asked for, and what others reached."""
