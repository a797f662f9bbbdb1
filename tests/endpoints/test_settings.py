"""The section of a recipe that names an endpoint."""

import pytest
from pydantic import ValidationError

from mova.endpoints.settings import EndpointSection


def section(**values):
    return EndpointSection(**{"base_url": "http://127.0.0.1:8000/v1", "model": "m"} | values)


@pytest.mark.parametrize(
    "url",
    ["http://localhost/v1", "https://api.example.org/v1/", "http://[::1]:8000/v1", "HTTP://HOST:80/compatible-mode/v1"],
)
def test_addresses_of_the_web_are_taken(url):
    assert section(base_url=url).base_url == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:8000/v1",
        "file:///etc/passwd",
        "ftp://host/v1",
        "http://",
        "http:///v1",
        "http://user:word@host/v1",
        "http://user@host/v1",
        "http://host/v1?key=5",
        "http://host/v1#part",
        "http://host:99999/v1",
        "http://host:0/v1",
        "http://host:port/v1",
        "http://ho st/v1",
        "http://host/\nv1",
        "http://[::1/v1",
        "http://" + "h" * 3000,
    ],
)
def test_other_addresses_are_refused(url):
    with pytest.raises(ValidationError):
        section(base_url=url)


def test_a_key_in_the_recipe_is_refused_and_not_repeated():
    with pytest.raises(ValidationError, match="environment variable") as caught:
        section(api_key_env="sk-secret-0123456789")
    assert "sk-secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["messages", "model", "stream"])
def test_further_fields_cannot_replace_our_own(name):
    with pytest.raises(ValidationError, match=name):
        section(extra_body={name: 1})


@pytest.mark.parametrize(
    "values", [{"max_tokens": 0}, {"temperature": 3}, {"attempts": 0}, {"timeout_s": float("inf")}, {"modle": "x"}]
)
def test_values_out_of_range_are_refused(values):
    with pytest.raises(ValidationError):
        section(**values)
