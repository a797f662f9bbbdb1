"""Runs written as YAML: strict models, and files read within bounds."""
