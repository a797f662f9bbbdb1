"""From a source of any kind to clips of one kind: what a source is, what it shows when, and the clips' own files."""
