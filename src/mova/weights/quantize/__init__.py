"""Weights in 8 or 4 bits: the layouts, packing, quantised layers, and whole components rewritten."""
