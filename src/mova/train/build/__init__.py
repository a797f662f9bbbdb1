"""Towers, bridge and adapters as a recipe wants them: made, sharded, placed."""
