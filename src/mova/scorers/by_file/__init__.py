"""Scorers whose weights are files that a user puts into a folder (`tools/fetch_scorers.py` fetches them)."""
