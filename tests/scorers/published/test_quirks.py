"""Quirks of the reference by name."""

from mova.scorers.published.quirks import MOVA_QUIRKS, NO_QUIRKS, Quirks


def test_none_is_taken_over_by_default_and_all_for_parity():
    assert Quirks() == NO_QUIRKS
    assert NO_QUIRKS.names() == ()
    assert len(MOVA_QUIRKS.names()) == len(vars(MOVA_QUIRKS)) == 7
    assert Quirks(clap_32_khz=True).names() == ("clap_32_khz",)
