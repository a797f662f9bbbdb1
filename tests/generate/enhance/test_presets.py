"""Entries of providers hold addresses and names of variables, never keys."""

from mova.endpoints.keys import check_name
from mova.endpoints.settings import check_base_url
from mova.generate.enhance.presets import LOCAL, PRESETS


def test_addresses_and_names_of_variables_are_usable():
    for roles in PRESETS.values():
        for entry in roles.values():
            assert check_base_url(entry["base_url"]) == entry["base_url"]
            check_name(entry.get("api_key_env", ""))


def test_servers_of_ones_own_name_no_model():
    assert all("model" not in entry for name in LOCAL for entry in PRESETS[name].values())
