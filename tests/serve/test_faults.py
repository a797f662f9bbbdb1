"""What is wrong with a request, in the form of OpenAI's clients."""

import pytest

from mova.errors import ConfigError, GeometryError
from mova.serve.faults import FieldError, error_body, fault_of, not_found, unknown_field
from mova.web.refusals import RefusedError


def test_a_refusal_names_the_field_and_the_nearest_value():
    body = error_body(FieldError("n must be 1 to 8, got 9; nearest is 8", "n"))["error"]
    assert body == {
        "message": "n must be 1 to 8, got 9; nearest is 8",
        "type": "invalid_request_error",
        "param": "n",
        "code": "invalid_value",
        "nearest": "8",
    }


@pytest.mark.parametrize(
    ("text", "param"),
    [
        ("height must be a positive multiple of 16, got 100; nearest are 96 and 112", "size"),
        ("frames must be 1 plus a multiple of 4, got 50; nearest are 49 and 53", "num_frames"),
        ("frame rate must be a positive number of frames per second, got 0", "fps"),
        ("steps must lie between 1 and 1000, got 0; nearest is 1", "num_inference_steps"),
        ("guidance_scale must be finite and 0 or more, got -1; 1.0 disables it", "guidance_scale"),
        ("step_cache_order must be 0, 1 or 2, got 3; nearest is 2", "step_cache_order"),
        ("something else is wrong", None),
    ],
)
def test_an_error_of_the_package_is_about_the_field_that_its_rule_names(text, param):
    found = fault_of(GeometryError(text))
    assert (found.status, found.param, found.text) == (400, param, text)


def test_what_is_a_refusal_already_stays_as_it_is():
    refusal = RefusedError(429, "too_many", "slower", 3)
    assert fault_of(refusal) is refusal
    assert fault_of(ConfigError("x"), "seed").param == "seed"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (429, "rate_limit_error"),
        (500, "server_error"),
        (503, "server_error"),
    ],
)
def test_the_kind_of_an_error_follows_from_its_status(status, kind):
    assert error_body(RefusedError(status, "code", "text"))["error"]["type"] == kind


def test_an_unknown_field_is_refused_with_the_one_that_is_meant():
    found = unknown_field("promt", ("prompt", "seed"))
    assert (found.nearest, found.code) == ("prompt", "unknown_field")
    assert len(unknown_field("x" * 10_000, ("prompt",)).text) < 400
    assert not_found("video_1").status == 404


def test_options_of_the_command_are_fields_here():
    found = fault_of(ConfigError("overlap, windows and prompt-at need --length or --extend; nearest is --prompt-at x"))
    assert str(found) == "overlap, windows and prompt-at need seconds or video; nearest is prompt_at x"
    assert found.param == "seconds"
