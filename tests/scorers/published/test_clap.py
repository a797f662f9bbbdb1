"""CLAP on clips: what is scored, and what has a reason instead."""

import numpy as np
import pytest
import torch

from mova.errors import ConfigError
from mova.scorers.networks.clap import ClapNetwork, clap_config
from mova.scorers.published.clap import CLAP, ROBERTA, ClapScorer, read_tokenizer, sound_embedding, text_embedding
from mova.scorers.registry import ScorerSettings, make_scorers
from shared_scoring import clip_of, reason, score, still, tone
from small_scorers import save_roberta

SMALL = {
    "audio": {
        "depths": [1, 1, 1, 1],
        "patch_embeds_hidden_size": 16,
        "num_attention_heads": [1, 1, 2, 2],
        "hidden_size": 128,
    },
    "text": {
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "vocab_size": 60,
    },
    "joint": 8,
}


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    return ClapNetwork(clap_config(**SMALL)).eval()


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / ROBERTA.name
    save_roberta(path)
    return read_tokenizer(path)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    made = clip_of(tmp_path_factory.mktemp("clips") / "a.mp4", sound=tone(440, 1.0))
    made.prompt = "a dog barks"
    return made


@pytest.mark.parametrize("seconds", [0.01, 1.0, 10.0, 10.5])
def test_a_sound_of_any_length_has_one_unit_vector(small, seconds):
    sound = tone(440, seconds)
    found = sound_embedding(sound, small)
    assert found.shape == (8,)
    assert np.linalg.norm(found) == pytest.approx(1.0, abs=1e-6)
    assert np.array_equal(found, sound_embedding(sound, small))
    assert np.allclose(found, sound_embedding(0.25 * sound, small), atol=1e-4)


def test_texts_are_filled_up_or_cut_to_77_tokens(small, tokenizer):
    encoded = tokenizer.encode("a dog barks")
    assert (len(encoded.ids), encoded.ids[:6]) == (77, [0, 4, 5, 6, 2, 1])
    assert sum(encoded.attention_mask) == 5
    long = " ".join(["dog"] * 200)
    assert (len(tokenizer.encode(long).ids), tokenizer.encode(long).ids[-1]) == (77, 2)
    one, same = text_embedding(long, small, tokenizer), text_embedding(f"{long} rain", small, tokenizer)
    assert np.array_equal(one, same)
    assert not np.allclose(one, text_embedding("rain", small, tokenizer), atol=1e-4)


def test_silence_mute_clips_and_clips_without_a_prompt_have_reasons(tmp_path, clip):
    scorer = ClapScorer(tmp_path)
    silent = clip_of(tmp_path / "silent.mp4", still(0.5), np.zeros(24_000, np.float32))
    silent.prompt = "rain"
    mute = clip_of(tmp_path / "mute.mp4", still(0.5))
    mute.prompt = "rain"
    assert reason(scorer, silent, "clap_score") == "not applicable: the sound is silent"
    assert reason(scorer, mute, "clap_score") == "not applicable: the clip has no audio"
    bare = type(clip)(clip.path, " ")
    assert reason(scorer, bare, "clap_score") == "not applicable: the clip has no prompt"


def test_a_missing_tokenizer_is_named_with_its_source(tmp_path, clip):
    (tmp_path / CLAP.name).write_bytes(b"weights")
    (found,) = make_scorers(["clap"], ScorerSettings(weights=tmp_path)).score([clip])
    assert found.scores["clap_score"].reason == (
        "skipped: weights: roberta-base/tokenizer.json, from FacebookAI/roberta-base, licence: MIT"
    )


def test_a_file_of_another_model_is_a_clear_error(tmp_path, clip):
    save_roberta(tmp_path / ROBERTA.name)
    torch.save({"state_dict": {"module.conv.weight": torch.zeros(3)}}, tmp_path / CLAP.name)
    why = reason(ClapScorer(tmp_path), clip, "clap_score")
    assert why.startswith("failed: ConfigError")
    assert "must be the file for ClapNetwork" in why
    assert "1 extra (conv.weight)" in why


@pytest.mark.parametrize("kind", ["words", "another"])
def test_a_tokenizer_of_another_model_is_refused(tmp_path, kind):
    path = tmp_path / "tokenizer.json"
    save_roberta(path)
    text = path.read_text()
    path.write_text("words" if kind == "words" else text.replace('"<pad>"', '"<fill>"'))
    with pytest.raises(ConfigError, match=r"must be the tokenizer\.json of roberta-base"):
        read_tokenizer(path)


@pytest.mark.slow
def test_a_checkpoint_of_published_names_gives_a_score_and_the_quirk_another(tmp_path, clip):
    torch.manual_seed(1)
    state = {f"module.{name}": tensor for name, tensor in ClapNetwork().state_dict().items()}
    unused = {"module.text_branch.embeddings.position_ids": torch.arange(514)[None]}
    torch.save({"epoch": 15, "state_dict": state | unused}, tmp_path / CLAP.name)
    save_roberta(tmp_path / ROBERTA.name)
    found, quirk = (
        score(ClapScorer(tmp_path, hears_32_khz=choice), clip).scores["clap_score"] for choice in (False, True)
    )
    assert found.reason == ""
    assert abs(found.value) <= 1.0
    assert quirk.value != found.value
