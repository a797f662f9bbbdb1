"""Weights in 8 or 4 bits: the layouts, quantisation, quantised layers, and whole components rewritten."""
