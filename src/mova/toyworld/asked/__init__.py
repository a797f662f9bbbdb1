"""Free wording in English or Chinese to a scene of the toy world, and what of the wording no scene can show."""
