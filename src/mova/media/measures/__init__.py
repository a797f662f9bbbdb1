"""What FFmpeg's filters measure of a file's frames."""
