"""The streams of an mp4 file: H.264 and AAC, written as frames and samples come."""
