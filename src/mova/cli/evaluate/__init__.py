"""`mova evaluate`: measure clips, and models by what they make."""
