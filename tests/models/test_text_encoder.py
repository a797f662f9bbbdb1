"""Our UMT5 encoder is transformers' one: its names, its shapes and its numbers."""

import json

import pytest
import torch

from mova.models.text_encoder import TextEncoder, is_own_text_encoder_wanted, own_text_encoder
from mova.names import SHIPPED_MODELS
from mova.weights.components import build_empty, load_component, published_class_name

FOLDER = SHIPPED_MODELS / "mova-tiny" / "text_encoder"
CONFIG = json.loads((FOLDER / "config.json").read_text())


@pytest.fixture(scope="module")
def pair():
    """The shipped model by ours and by transformers."""
    with own_text_encoder():
        own = load_component(FOLDER, expected_class="UMT5EncoderModel", dtype=torch.float32)
    return own, load_component(FOLDER, expected_class="UMT5EncoderModel", dtype=torch.float32)


def tokens(*lengths):
    generator = torch.Generator().manual_seed(len(lengths))
    ids = torch.randint(0, CONFIG["vocab_size"], (len(lengths), max(lengths)), generator=generator)
    return ids, (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()


def test_it_is_built_in_its_block_only(pair):
    own, library = pair
    assert isinstance(own, TextEncoder)
    assert type(library).__name__ == "UMT5EncoderModel"
    assert not is_own_text_encoder_wanted()
    assert published_class_name(own) == published_class_name(library) == "UMT5EncoderModel"


def test_names_shapes_and_values_of_weights_are_the_same(pair):
    own, library = (model.state_dict() for model in pair)
    assert list(own) == list(library)
    assert all(torch.equal(own[key], library[key]) for key in library)
    assert pair[0].shared.weight is pair[0].encoder.embed_tokens.weight
    assert pair[0].get_input_embeddings().num_embeddings == CONFIG["vocab_size"]


@pytest.mark.parametrize("lengths", [(1,), (96,), (300,), (40, 96, 3)], ids=str)
@torch.no_grad()
def test_it_gives_the_numbers_of_the_library(pair, lengths):
    ids, mask = tokens(*lengths)
    own, library = (model(ids, attention_mask=mask).last_hidden_state for model in pair)
    # The same bits with the tested versions; the library may order its sums otherwise in others.
    torch.testing.assert_close(own * mask[..., None], library * mask[..., None], atol=1e-6, rtol=1e-6)
    alone = pair[0](ids[:1, : lengths[0]]).last_hidden_state[0]
    torch.testing.assert_close(alone, own[0, : lengths[0]], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_in_bfloat16_too():
    with own_text_encoder():
        own = load_component(FOLDER, dtype=torch.bfloat16)
    library = load_component(FOLDER, dtype=torch.bfloat16)
    ids, mask = tokens(40, 17)
    found, expected = (model(ids, attention_mask=mask).last_hidden_state for model in (own, library))
    assert found.dtype == own.dtype == torch.bfloat16
    assert own.device == torch.device("cpu")
    torch.testing.assert_close(found[1, :17], expected[1, :17], atol=2e-2, rtol=2e-2)


@pytest.mark.parametrize(
    "change",
    [
        {"feed_forward_proj": "relu"},
        {"dense_act_fn": "gelu"},
        {"is_gated_act": False},
        {"tie_word_embeddings": False},
        {"tie_word_embeddings": None},
        {"d_kv": None},
    ],
    ids=str,
)
def test_a_config_that_says_something_else_is_for_the_library(change):
    config = {key: value for key, value in {**CONFIG, **change}.items() if value is not None}
    assert TextEncoder.can_be(CONFIG)
    assert not TextEncoder.can_be(config)
    with own_text_encoder():
        assert type(build_empty("UMT5EncoderModel", config)).__name__ == "UMT5EncoderModel"
        assert isinstance(build_empty("UMT5EncoderModel", CONFIG), TextEncoder)
