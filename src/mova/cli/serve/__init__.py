"""`mova serve`."""
