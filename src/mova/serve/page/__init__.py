"""The page of a server of clips: one file of HTML with its style and its script, over the public API alone."""
