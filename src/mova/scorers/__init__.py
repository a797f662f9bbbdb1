"""Measures of clips: one protocol, one file for each family; `curate` filters by them, `evaluate` reports them."""
