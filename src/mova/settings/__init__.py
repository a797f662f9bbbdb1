"""What a request may ask for and what a model recommends: sampling settings, speed presets, seeds (no torch here)."""
