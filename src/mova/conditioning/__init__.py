"""What of a clip is known beforehand: frames and held modalities, for generation and for training alike."""
