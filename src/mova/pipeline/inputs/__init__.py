"""What a call is given: its arguments checked, media as tensors, files read before any weights are loaded."""
