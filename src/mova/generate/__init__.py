"""From a prompt and pictures to a clip: the pipeline, what it loads, and what a run will cost.

`request`, `locate`, `dims` and `plan` work without torch, so that wrong input is found before anything heavy happens.
"""
