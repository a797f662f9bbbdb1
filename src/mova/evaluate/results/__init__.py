"""Figures over clips: means with their intervals and counts, and two evaluations side by side."""
