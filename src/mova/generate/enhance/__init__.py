"""Prompt enhancement: what somebody wrote becomes a prompt of the kind that a model learned, with a first frame."""
