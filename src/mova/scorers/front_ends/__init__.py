"""Arithmetic between a clip and a network: what is cut out, filtered and put together before it is looked at."""
