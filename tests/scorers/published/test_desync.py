"""DeSync on clips: which segments are compared, and reasons where there is nothing to compare."""

import numpy as np
import pytest
import torch

from mova.scorers.clip_media import ClipMedia
from mova.scorers.front_ends.image_crops import synchformer_segments
from mova.scorers.front_ends.published_mels import synchformer_mels
from mova.scorers.networks.synchformer.model import Synchformer
from mova.scorers.networks.synchformer.sizes import SynchformerSizes
from mova.scorers.published.desync import SYNCHFORMER, DesyncScorer, num_common_segments, offsets_s
from mova.scorers.published.quirks import Quirks
from published_networks import moving, moving_clip, sounding, write_short_audio, write_weights
from shared_scoring import clip_of, reason, score, still

SIZES = SynchformerSizes(dim=8, depth=1, heads=1, head_depth=1, head_heads=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("weights")
    write_weights(Synchformer(SIZES), made / SYNCHFORMER.name, wrapped="model", prefix="module.")
    return made


@pytest.fixture(scope="module")
def scorer(folder):
    return DesyncScorer(folder, sizes=SIZES)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return Synchformer(SIZES).eval()


@pytest.mark.parametrize(
    ("duration_s", "count"),
    [(7.9, 23), (193 / 24, 24), (8.0, 24), (4.8, 14), (4.79, 13), (0.5, 0), (193 / 24 - 0.1, 23)],
)
def test_segments_follow_from_the_duration(duration_s, count):
    assert num_common_segments(duration_s) == count


def test_a_clip_has_an_offset_of_its_beginning_and_end(scorer, tmp_path):
    found = score(scorer, moving_clip(tmp_path / "a.mp4", 5.2)).scores
    both = [found[name].value for name in ("desync_start", "desync_end")]
    assert found["desync"].value == pytest.approx(sum(both) / 2)
    assert all(value == pytest.approx(round(value * 5) / 5, abs=1e-6) and 0 <= value <= 2 for value in both)


def test_both_windows_are_the_first_and_the_last_fourteen_segments(network):
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (16 + 8 * 16, 3, 224, 224), dtype=np.uint8)
    sound = rng.normal(0, 0.1, 10_240 + 16 * 5_120).astype(np.float32)
    seen = []
    network.transformer.register_forward_hook(lambda *_: seen.append(_[2]))
    offsets_s(frames, sound, network)
    with torch.inference_mode():
        segments, mels = synchformer_segments(frames)[None], synchformer_mels(sound)[None]
        assert segments.shape[1] == mels.shape[1] == 17
        wanted = [network(segments[:, part], mels[:, part]) for part in (slice(14), slice(-14, None))]
    torch.testing.assert_close(seen[0], torch.cat(wanted), atol=1e-5, rtol=1e-5)


def test_the_reference_looks_at_a_tenth_of_a_second_less(folder, tmp_path):
    clip = moving_clip(tmp_path / "a.mp4", 4.85)
    ours, theirs = (DesyncScorer(folder, Quirks(duration_minus_100_ms=way), SIZES) for way in (False, True))
    assert score(ours, clip).scores["desync"].value is not None
    assert reason(theirs, clip, "desync") == (
        "not applicable: 4.73 s are looked at, less than the 4.8 s of 14 segments"
    )


def test_what_cannot_be_compared_has_a_reason(scorer, tmp_path):
    silent = clip_of(tmp_path / "silent.mp4", moving(5.0), np.zeros((1, 5 * 48_000), np.float32))
    assert reason(scorer, silent, "desync") == "not applicable: the sound is silent"
    assert reason(scorer, clip_of(tmp_path / "mute.mp4", moving(5.0)), "desync") == (
        "not applicable: the clip has no audio"
    )
    standing = clip_of(tmp_path / "still.mp4", still(5.0), sounding(5.0))
    assert reason(scorer, standing, "desync") == "not applicable: the video stands still"
    one = clip_of(tmp_path / "one.mp4", still(1 / 24), sounding(0.1))
    assert reason(scorer, one, "desync_end").startswith("not applicable: 0.04 s are looked at")


def test_audio_that_ends_before_the_video_is_a_reason(scorer, tmp_path):
    path = write_short_audio(tmp_path / "short.mp4")
    assert reason(scorer, ClipMedia(path), "desync").startswith("not applicable: the audio ends at 3.")


def test_a_file_of_another_network_is_said_to_be_so(tmp_path):
    write_weights(torch.nn.Linear(3, 3), tmp_path / SYNCHFORMER.name)
    text = reason(DesyncScorer(tmp_path, sizes=SIZES), moving_clip(tmp_path / "a.mp4", 5.0), "desync")
    assert "must be the file for Synchformer" in text
