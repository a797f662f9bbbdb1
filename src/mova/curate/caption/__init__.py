"""Stage 3: what is seen, said and heard in a clip, and one caption of all of it."""
