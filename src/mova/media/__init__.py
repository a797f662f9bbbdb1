"""Media files in and out, with PyAV and soxr and nothing else: `probe` says what a file holds, `read` and `write` move
clips (`decode_video` and `decode_audio` are the two halves of reading), `frames` shapes images, `waveform` shapes and
measures audio. Frames are (F, H, W, 3) uint8 everywhere, waveforms (channels, S) float32 in [-1, 1]. Import the
submodules; the package itself imports nothing, so that it costs no time.
"""
