"""Stage 1: from sources to clips of one length: integrity, borders, shots, speech, windows and the transcode."""
