"""The index of a model: which components it names, with which classes."""

import json

import pytest

from mova.errors import CheckpointError
from mova.names import PUBLISHED_COMPONENTS
from mova.weights.index import check_index, named_classes, read_configs, read_index


@pytest.fixture
def write(tmp_path):
    def change(**changes):
        index = {name: list(entry) for name, entry in PUBLISHED_COMPONENTS.items()} | changes
        (tmp_path / "model_index.json").write_text(json.dumps(index))
        for name in PUBLISHED_COMPONENTS:
            (tmp_path / name).mkdir(exist_ok=True)
        return tmp_path

    return change


def test_the_published_components_are_named_with_their_classes(write):
    folder = write(video_dit_2=[None, None], boundary_ratio=None)
    classes = named_classes(folder)
    assert classes == {name: entry[1] for name, entry in PUBLISHED_COMPONENTS.items() if name != "video_dit_2"}
    assert set(check_index(folder, read_index(folder))) == set(classes)


def test_a_folder_without_an_index_names_nothing(tmp_path):
    assert named_classes(tmp_path) == {}
    with pytest.raises(CheckpointError, match=r"model_index\.json must exist"):
        read_index(tmp_path)


@pytest.mark.parametrize("entry", [["diffusers"], ["a", "b", "c"], ["diffusers", 3], [None, "WanModel"], [[], {}]])
def test_an_entry_is_a_library_and_a_class(write, entry):
    with pytest.raises(CheckpointError, match=r"model_index\.json: video_dit must be \[library, class\]"):
        named_classes(write(video_dit=entry))


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ({"boundary_ratio": "0.9"}, "boundary_ratio must be a finite number"),
        ({"boundary_ratio": 7}, "boundary_ratio must be from 0 to 1, got 7; nearest is 1"),
        ({"audio_vae_type": 3}, "audio_vae_type must be text"),
        ({"../outside": ["a", "b"]}, "name of a component must be a plain name"),
    ],
)
def test_settings_of_another_type_are_named_with_file_and_key(write, setting, text):
    with pytest.raises(CheckpointError, match=rf"model_index\.json: .*{text}"):
        read_index(write(**setting))


def test_what_the_index_does_not_name_is_not_read(write):
    folder = write(video_dit_2=[None, None])
    for name in ("video_dit", "video_dit_2", "._video_dit", "other"):
        (folder / name).mkdir(exist_ok=True)
        (folder / name / "config.json").write_text('{"dim": 8}' if name == "video_dit" else "{")
    assert read_configs(folder) == {"video_dit": {"dim": 8}}


def test_a_component_of_another_class_or_without_a_folder_is_refused(write):
    folder = write(audio_vae=["a", "Encodec"])
    with pytest.raises(CheckpointError, match=r"audio_vae in .* must be a DAC, got 'Encodec'"):
        check_index(folder, read_index(folder))
    folder = write()
    (folder / "tokenizer").rmdir()
    with pytest.raises(CheckpointError, match="must hold the folder tokenizer"):
        check_index(folder, read_index(folder))
