"""The report of a run as one HTML page: what was kept, what was not and why, with clips that play."""
