"""Stages that train what comes before the towers: the text encoder and the autoencoders."""
