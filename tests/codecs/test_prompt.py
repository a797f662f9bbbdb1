import json
import logging
import shutil
import string
from pathlib import Path

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


@pytest.fixture
def folder(checkpoint, tmp_path):
    return Path(shutil.copytree(checkpoint / "tokenizer", tmp_path / "tokenizer"))


def change_config(folder, **changes):
    file = folder / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


@pytest.mark.parametrize("name", ["tokenizer_config.json", "config.json"])
def test_code_of_a_tokenizer_is_refused_in_words_and_never_run(folder, name, tmp_path):
    (folder / "tokenizer.json").unlink()
    mark = tmp_path / "was run"
    (folder / "evil.py").write_text(f"open({str(mark)!r}, 'w').close()\nclass Evil: pass\n")
    file = folder / name
    config = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps({**config, "auto_map": {"AutoTokenizer": ["evil.Evil", None]}}))
    with pytest.raises(
        CheckpointError, match=rf"{name} must not ask for code of its own \(auto_map\): it is never run"
    ):
        load_tokenizer(folder)
    assert not mark.exists()


def test_code_beside_a_whole_tokenizer_is_never_run(folder, tmp_path):
    mark = tmp_path / "was run"
    (folder / "evil.py").write_text(f"open({str(mark)!r}, 'w').close()\nclass Evil: pass\n")
    change_config(folder, auto_map={"AutoTokenizer": ["evil.Evil", "evil.Evil"]}, tokenizer_class="Evil")
    assert load_tokenizer(folder)("a dog")["input_ids"]
    assert not mark.exists()


def test_a_tokenizer_of_another_class_needs_its_whole_file(folder):
    change_config(folder, tokenizer_class="BertTokenizer")
    assert load_tokenizer(folder).pad_token_id is not None
    (folder / "tokenizer.json").unlink()
    with pytest.raises(CheckpointError, match=r"tokenizer_class must be one of T5Tokenizer, .*, got 'BertTokenizer'"):
        load_tokenizer(folder)


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("tokenizer_config.json", "[]", "must be a JSON object"),
        ("tokenizer_config.json", '{"model_max_length": "x"}', "model_max_length must be a finite number, got 'x'"),
        ("tokenizer_config.json", '{"model_max_length": 0}', "model_max_length must be from 1"),
        ("special_tokens_map.json", "{", "must be JSON"),
        ("added_tokens.json", "[" * 100_000, "must be JSON of moderate depth"),
        ("tokenizer.json", "{}", "tokenizer cannot be loaded"),
        (
            "tokenizer.json",
            '{"version": "1.0", "model": {"type": "Unigram", "vocab": 3}}',
            "tokenizer cannot be loaded",
        ),
    ],
)
def test_damaged_files_of_a_tokenizer_are_named(folder, name, content, text):
    (folder / name).write_text(content)
    with pytest.raises(CheckpointError, match=text):
        load_tokenizer(folder)


def test_a_tokenizer_of_a_larger_vocabulary_than_the_text_encoder_is_refused(tokenizer, text_encoder):
    from transformers import UMT5Config, UMT5EncoderModel

    small = UMT5EncoderModel(UMT5Config(**{**text_encoder.config.to_dict(), "vocab_size": 3}))
    with pytest.raises(CheckpointError, match=r"tokenizer and text encoder must belong together: .* 0 to 2"):
        encode_prompts(tokenizer, small, ["a dog"])
