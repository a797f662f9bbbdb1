"""Synchformer: how far sound and video of a clip are apart, one of 21 offsets between -2 and 2 seconds."""
