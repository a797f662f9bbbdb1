"""Checks state the rule, the value received and the nearest valid one."""

import pytest

from mova.checks import MAX_STEPS, check_cache, check_choice, check_scale, check_share, check_shift, check_steps
from mova.errors import ConfigError


def test_valid_values_pass_in_silence():
    for steps in (1, MAX_STEPS):
        check_steps(steps)
    check_scale("guidance_scale", None)
    check_scale("guidance_scale", 0.0)
    check_shift("video_shift", 5.0)
    check_cache(0.0, 2)
    check_choice("sampler", "euler", ("euler", "unipc"))


@pytest.mark.parametrize(
    ("check", "text"),
    [
        (lambda: check_steps(0), "between 1 and 1000, got 0; nearest is 1"),
        (lambda: check_steps(True), "whole number from 1 to 1000, got True"),
        (lambda: check_scale("guidance_scale", float("nan")), "guidance_scale must be finite and 0 or more, got nan"),
        (lambda: check_shift("audio_shift", 0), "audio_shift must be positive and finite, got 0"),
        (lambda: check_share("guidance_rescale", 1.5), r"guidance_rescale must lie in \[0, 1\], got 1.5; nearest is 1"),
        (lambda: check_share("guidance_rescale", float("nan")), "got nan; nearest is 0"),
        (lambda: check_cache(-0.1, 0), "step_cache must be finite and 0 or more, got -0.1; nearest is 0"),
        (lambda: check_cache(0.1, 3), "step_cache_order must be 0, 1 or 2, got 3; nearest is 2"),
        (lambda: check_choice("sampler", "eular", ("euler", "unipc")), "got 'eular'; nearest is euler"),
    ],
)
def test_other_values_are_refused_with_the_nearest(check, text):
    with pytest.raises(ConfigError, match=text):
        check()
