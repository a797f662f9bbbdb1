"""Scorers on published networks, one file a family; their weights are files that a user puts into a folder."""
