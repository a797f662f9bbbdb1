"""Which clips are kept: what gates look at, what they say, and why."""
