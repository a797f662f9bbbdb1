"""Sizes that follow from others."""

from mova.scorers.networks.synchformer.sizes import SynchformerSizes


def test_numbers_of_tokens_are_the_published_ones():
    sizes = SynchformerSizes()
    assert (sizes.places, sizes.video_steps, sizes.mel_grid) == (196, 8, (12, 6))


def test_other_sizes_have_other_numbers():
    sizes = SynchformerSizes(image=32, frames=4, mel_bands=36, mel_steps=16)
    assert (sizes.places, sizes.video_steps, sizes.mel_grid) == (4, 2, (3, 1))
