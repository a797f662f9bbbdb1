"""Clips that are measured: which they are, what they were made from, and which are not there."""
