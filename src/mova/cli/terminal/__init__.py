"""The process of a command and its terminal: signals, streams, bars, a quick start."""
