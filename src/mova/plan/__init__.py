"""What a clip takes before anything is loaded: bytes, memory, operations, time (no torch here)."""
