"""The report of an evaluation as a page: figures, and clips that play beside their scores."""
