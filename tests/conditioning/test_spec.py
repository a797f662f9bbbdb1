import pytest

from mova.conditioning.spec import check_tasks
from mova.errors import ConfigError


def test_known_frames_go_with_given_audio_and_with_nothing_else_missing():
    check_tasks(has_image=True, has_video=False, has_audio=True)
    check_tasks(has_image=False, has_video=True, has_audio=False)
    check_tasks(has_image=False, has_video=False, has_audio=False)


def test_inputs_that_contradict_each_other_are_refused():
    with pytest.raises(ConfigError, match="nothing is left to generate"):
        check_tasks(has_image=False, has_video=True, has_audio=True)
    with pytest.raises(ConfigError, match="video already holds the frames"):
        check_tasks(has_image=True, has_video=True, has_audio=False)
