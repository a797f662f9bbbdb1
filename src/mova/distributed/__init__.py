"""Techniques that are applied to the models from outside: sharing among processes, and what lives where."""
