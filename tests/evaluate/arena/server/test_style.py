"""The style of the page."""

from mova.evaluate.arena.server.style import VOTING_STYLE


def test_it_loads_nothing_and_fits_a_phone():
    assert "url(" not in VOTING_STYLE
    assert "@import" not in VOTING_STYLE
    assert "@media (max-width: 40rem)" in VOTING_STYLE
    assert VOTING_STYLE.count("{") == VOTING_STYLE.count("}")
