"""A tokenizer of its file alone gives the tokens of transformers, or leaves the folder to it."""

import json
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mova.codecs.prompt import encode_prompts, find_cut_prompts, load_tokenizer
from mova.codecs.tokenizer import FileTokenizer, read_file_tokenizer
from mova.models.text_encoder import own_text_encoder
from mova.names import SHIPPED_MODELS
from mova.weights.components import load_component

MODEL = SHIPPED_MODELS / "mova-tiny"
FOLDER = MODEL / "tokenizer"
LIBRARY = load_tokenizer(FOLDER)
OWN = read_file_tokenizer(FOLDER)
LONG = "a red ball bounces on a drum while a lamp blinks " * 12


def test_it_is_used_in_its_block_only():
    with own_text_encoder():
        assert isinstance(load_tokenizer(FOLDER), FileTokenizer)
    assert not isinstance(LIBRARY, FileTokenizer)
    assert (OWN.pad_token_id, OWN.model_max_length) == (LIBRARY.pad_token_id, LIBRARY.model_max_length)


@given(text=st.text(max_size=80))
def test_tokens_and_their_text_are_the_same(text):
    ids = OWN(text, truncation=False, verbose=False)["input_ids"]
    assert ids == LIBRARY(text, truncation=False, verbose=False)["input_ids"]
    for skips in (True, False):
        assert OWN.decode(ids, skip_special_tokens=skips) == LIBRARY.decode(ids, skip_special_tokens=skips)


@pytest.mark.parametrize("text", ["", "a red ball", "</s><pad> <extra_id_0>", "Übermut 球 🙂", LONG])
def test_special_words_and_foreign_letters_too(text):
    assert OWN(text)["input_ids"] == LIBRARY(text)["input_ids"]


def test_a_prompt_that_is_too_long_is_cut_at_the_same_place():
    assert find_cut_prompts(OWN, [LONG, "short"]) == find_cut_prompts(LIBRARY, [LONG, "short"])
    assert len(find_cut_prompts(OWN, [LONG])) == 1


def test_prompts_have_the_embeddings_of_the_library():
    with own_text_encoder():
        own = load_component(MODEL / "text_encoder")
    found = encode_prompts(OWN, own, ["a red ball bounces"])
    expected = encode_prompts(LIBRARY, load_component(MODEL / "text_encoder"), ["a red ball bounces"])
    assert (found.embeds - expected.embeds).abs().max() < 1e-6


@pytest.mark.parametrize(
    "change",
    [
        {"add_bos_token": True},
        {"pad_token": "a"},
        {"pad_token": {"content": "<pad>"}},
        {"extra_special_tokens": ["<new>"]},
        {"extra_special_tokens": {"image": "<pad>"}},
        {"model_max_length": 96.5},
        {"pad_token": None},
    ],
    ids=str,
)
def test_settings_that_transformers_may_act_upon_are_left_to_it(tmp_path, change):
    folder = shutil.copytree(FOLDER, tmp_path / "tokenizer")
    file = folder / "tokenizer_config.json"
    config = {key: value for key, value in (json.loads(file.read_text()) | change).items() if value is not None}
    file.write_text(json.dumps(config))
    assert read_file_tokenizer(folder) is None


def test_other_files_are_left_to_transformers(tmp_path, checkpoint):
    folder = shutil.copytree(FOLDER, tmp_path / "tokenizer")
    assert read_file_tokenizer(folder) is not None
    (folder / "special_tokens_map.json").write_text("{}")
    assert read_file_tokenizer(folder) is None
    assert read_file_tokenizer(checkpoint / "tokenizer") is None
    with own_text_encoder():
        assert not isinstance(load_tokenizer(checkpoint / "tokenizer"), FileTokenizer)
