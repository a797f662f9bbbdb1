"""How fast a model is on this machine, measured and noted."""
