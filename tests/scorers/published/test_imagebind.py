"""IB-Score on clips: the cosine of two embeddings, which frames and sounds they are of, and reasons."""

import numpy as np
import pytest
import torch

from mova.scorers.front_ends.clip_starts import Spacing
from mova.scorers.networks.imagebind.model import OTHER_MODALITIES, ImageBind, ImageBindSizes
from mova.scorers.published import imagebind
from mova.scorers.published.imagebind import IMAGEBIND, ImageBindScorer, audio_embedding, video_embedding
from mova.scorers.published.quirks import Quirks
from published_networks import moving, moving_clip, sounding, write_weights
from shared_scoring import clip_of, reason, score, still

SIZES = ImageBindSizes(
    out_dim=12, vision_dim=8, vision_depth=1, vision_heads=1, audio_dim=8, audio_depth=1, audio_heads=1
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("weights")
    path = write_weights(ImageBind(SIZES), made / IMAGEBIND.name)
    others = {f"{prefix}anything.weight": torch.zeros(2) for prefix in OTHER_MODALITIES}
    torch.save({**torch.load(path, weights_only=True), **others}, path)
    return made


@pytest.fixture(scope="module")
def scorer(folder):
    return ImageBindScorer(folder, sizes=SIZES)


def test_the_score_is_the_cosine_of_both_embeddings(scorer, tmp_path):
    found = score(scorer, moving_clip(tmp_path / "a.mp4", 4.2, channels=2))
    video, audio = (found.embeddings[space.name] for space in scorer.spaces)
    assert video.shape == audio.shape == (scorer.spaces[0].width,) == (12,)
    cosine = video @ audio / np.linalg.norm(video) / np.linalg.norm(audio)
    assert found.scores["imagebind"].value == pytest.approx(float(cosine), abs=1e-6)


@pytest.mark.parametrize(("seconds", "quirk", "count"), [(8.05, False, 4), (8.05, True, 3), (2.5, False, 1)])
def test_a_frame_is_taken_each_two_seconds(folder, tmp_path, monkeypatch, seconds, quirk, count):
    seen = []
    monkeypatch.setattr(imagebind, "video_embedding", lambda frames, _: seen.append(frames) or np.ones(12, np.float32))
    scorer = ImageBindScorer(folder, Quirks(duration_minus_100_ms=quirk), sizes=SIZES)
    score(scorer, moving_clip(tmp_path / "a.mp4", seconds))
    assert [len(frames) for frames in seen] == [count]


def test_embeddings_are_means_over_crops_pairs_and_clips_of_sound():
    torch.manual_seed(0)
    network = ImageBind(SIZES).eval()
    frames = moving(0.2)[:3]
    both = [video_embedding(frames[index : index + 2], network) for index in (0, 1)]
    np.testing.assert_allclose(video_embedding(frames, network), np.mean(both, axis=0), atol=1e-6)
    once, twice = video_embedding(frames[:1], network), video_embedding(frames[[0, 0]], network)
    np.testing.assert_allclose(once, twice, atol=1e-7)
    sound = sounding(1.0).repeat(4, axis=1)[:, : 5 * 16_000]
    assert not np.allclose(*(audio_embedding(sound, network, spacing) for spacing in Spacing))


def test_what_cannot_be_compared_has_a_reason(scorer, tmp_path):
    silent = clip_of(tmp_path / "silent.mp4", moving(2.5), np.zeros((1, 120_000), np.float32))
    assert reason(scorer, silent, "imagebind") == "not applicable: the sound is silent"
    one_sided = np.stack([np.zeros(120_000, np.float32), sounding(2.5)[0]])
    assert reason(scorer, clip_of(tmp_path / "right.mp4", moving(2.5), one_sided), "imagebind") == (
        "not applicable: the first channel, the only one that ImageBind hears, is silent"
    )
    assert reason(scorer, clip_of(tmp_path / "mute.mp4", moving(2.5)), "imagebind") == (
        "not applicable: the clip has no audio"
    )
    short = clip_of(tmp_path / "one.mp4", still(1 / 24), sounding(0.1))
    assert reason(scorer, short, "imagebind") == (
        "not applicable: 0.04 s are looked at, less than the 2 s of a clip of sound"
    )


def test_a_static_video_is_scored(scorer, tmp_path):
    assert (
        score(scorer, clip_of(tmp_path / "still.mp4", still(2.5), sounding(2.5))).scores["imagebind"].value is not None
    )


def test_a_file_of_another_network_is_said_to_be_so(tmp_path):
    write_weights(torch.nn.Linear(3, 3), tmp_path / IMAGEBIND.name)
    text = reason(ImageBindScorer(tmp_path, sizes=SIZES), moving_clip(tmp_path / "a.mp4", 2.5), "imagebind")
    assert "must be the file for ImageBind" in text
