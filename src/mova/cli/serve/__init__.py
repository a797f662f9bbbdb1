"""The server of clips and the keys of its API, as a command."""
