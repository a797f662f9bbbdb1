"""The API: routes, replies, events, metrics and their description."""
