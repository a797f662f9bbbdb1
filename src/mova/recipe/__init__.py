"""Recipes: strict YAML files, one per run, read alike by every verb that has any."""
