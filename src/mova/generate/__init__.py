"""From options to clips in files: what is asked, checked requests, lists of prompts, one model for many clips.

All but the run itself works without torch, so that wrong input is found before anything heavy happens.
"""
