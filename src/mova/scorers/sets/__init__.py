"""Measures of sets of clips: arithmetic on what scorers found in each clip, for a category or for all."""
