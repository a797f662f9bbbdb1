"""Sections of a recipe of curation, as strict pydantic models; one file for what each part reads."""
