"""Files of strangers read within bounds, and results that are complete or absent."""
