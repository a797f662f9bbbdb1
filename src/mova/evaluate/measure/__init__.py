"""Scorers over clips: what was found is kept at once, and never found twice."""
