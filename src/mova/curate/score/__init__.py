"""Stage 2: what is measured of each clip, and which clips look and sound alike."""
