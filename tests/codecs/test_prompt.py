import logging
import string

import ftfy
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mova.codecs.prompt import clean_prompt, encode_prompts, find_cut_prompts, load_tokenizer, max_prompt_tokens
from mova.errors import CheckpointError, ConfigError


@pytest.fixture(scope="module")
def tokenizer(checkpoint):
    return load_tokenizer(checkpoint / "tokenizer")


@pytest.fixture(scope="module")
def text_encoder(checkpoint):
    from transformers import UMT5EncoderModel

    return UMT5EncoderModel.from_pretrained(checkpoint / "text_encoder").eval()


@given(text=st.text(alphabet=string.ascii_letters + string.digits + string.punctuation + " "))
def test_repair_leaves_plain_text_alone_so_that_it_can_be_skipped(text):
    plain = text.replace("&", "")
    assert ftfy.fix_text(plain) == plain
    assert clean_prompt(plain) == " ".join(plain.split())


def test_embeddings_equal_the_recorded_ones(tokenizer, text_encoder, record, recorded_call):
    result = encode_prompts(tokenizer, text_encoder, [recorded_call["prompt"], recorded_call["negative_prompt"]])
    # Tolerance: other order of sums than in the recorded run, which computed the padded rows too.
    torch.testing.assert_close(result.embeds[:1], record["input.prompt_embeds"], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(result.embeds[1:], record["input.negative_prompt_embeds"], atol=1e-5, rtol=1e-5)
    assert result.cut == ()


def test_rows_past_the_text_are_zero_and_rows_of_it_are_not(tokenizer, text_encoder):
    result = encode_prompts(tokenizer, text_encoder, ["a dog", "a red boat on a lake", ""])
    for embeds, length in zip(result.embeds, result.num_tokens.tolist(), strict=True):
        assert embeds[length:].abs().max() == 0
        assert embeds[:length].abs().amax(-1).min() > 0
    assert result.num_tokens[2] == 1, "an empty prompt still has its end mark"


def test_a_batch_gives_what_single_prompts_give(tokenizer, text_encoder):
    prompts = ["a dog barks", "gulls over a calm lake while a small boat drifts"]
    together = encode_prompts(tokenizer, text_encoder, prompts).embeds
    for index, prompt in enumerate(prompts):
        alone = encode_prompts(tokenizer, text_encoder, [prompt]).embeds[0]
        torch.testing.assert_close(together[index], alone, atol=1e-5, rtol=1e-5)


def test_a_prompt_that_is_too_long_says_what_was_cut(tokenizer, text_encoder, caplog):
    prompt = "a dog " * 600 + "and a boat"
    with caplog.at_level(logging.WARNING, logger="mova"):
        result = encode_prompts(tokenizer, text_encoder, ["a lake", prompt])
    (cut,) = result.cut
    assert (cut.index, cut.max_tokens) == (1, 512)
    assert cut.num_tokens > 512
    assert cut.removed_text.endswith("boat")
    assert result.num_tokens[1] == 512
    assert "the model reads 512" in caplog.text
    assert find_cut_prompts(tokenizer, [prompt])[0].removed_text == cut.removed_text


def test_a_cut_prompt_keeps_its_end_mark_and_its_beginning(tokenizer, text_encoder):
    long, kept = "dog " * 700, "dog " * 255
    assert encode_prompts(tokenizer, text_encoder, [long]).embeds.abs().amax(-1).min() > 0
    assert not find_cut_prompts(tokenizer, [kept])


def test_tokenizer_decides_on_fewer_rows(tokenizer, text_encoder, monkeypatch):
    monkeypatch.setattr(tokenizer, "model_max_length", 24)
    assert max_prompt_tokens(tokenizer) == 24
    result = encode_prompts(tokenizer, text_encoder, ["a dog " * 30])
    assert result.embeds.shape[1] == 24
    assert result.cut[0].max_tokens == 24


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("  a \n\t b  ", "a b"),
        ("gulls &amp;amp; dogs", "gulls & dogs"),
        ("caf\u00c3\u00a9", "caf\u00e9"),
        ("\u3000wide\u00a0space ", "wide space"),
    ],
)
def test_text_is_cleaned(text, clean):
    assert clean_prompt(text) == clean


def test_no_prompt_and_no_tokenizer_are_errors(tokenizer, text_encoder, tmp_path):
    with pytest.raises(ConfigError, match="at least one"):
        encode_prompts(tokenizer, text_encoder, [])
    with pytest.raises(CheckpointError, match="tokenizer cannot be loaded"):
        load_tokenizer(tmp_path)
