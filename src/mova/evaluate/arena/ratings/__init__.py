"""From votes to ratings, win rates and how far the side that a clip was shown on mattered."""
