"""Lip sync of whole clips: what is measured, of whom, and why there is no value."""

import shutil

import numpy as np
import pytest
import torch

import fill_weights
from mova.geometry import num_samples
from mova.media.write import write_clip
from mova.scorers.base import Findings
from mova.scorers.clip_media import ClipMedia
from mova.scorers.front_ends.face_tracks import FaceTrack, cut_out
from mova.scorers.front_ends.mfcc import to_16_bits
from mova.scorers.networks.syncnet import SyncNet
from mova.scorers.published import clip_inputs
from mova.scorers.published.files import load_published
from mova.scorers.published.lip_embeddings import LipReader, num_windows, speech_embeddings
from mova.scorers.published.lip_shifts import lip_sync, shift_distances
from mova.scorers.published.lip_sync import LipSyncScorer
from mova.scorers.registry import ScorerSettings, make_scorers
from mova.types import Clip
from shared_lips import write_lip_weights

SIZE = (240, 320)
# Middle, width and height of a face, in frames of 320x240; what is cut out begins and ends inside pixels.
LEFT, RIGHT = (90.3, 120.4, 130.6, 150.2), (240.3, 110.4, 110.6, 120.2)


@pytest.fixture(scope="module")
def one_face(tmp_path_factory):
    return write_lip_weights(tmp_path_factory.mktemp("weights") / "one", [LEFT])


@pytest.fixture(scope="module")
def two_faces(tmp_path_factory):
    return write_lip_weights(tmp_path_factory.mktemp("weights") / "two", [LEFT, RIGHT])


@pytest.fixture(scope="module")
def nobody(tmp_path_factory):
    return write_lip_weights(tmp_path_factory.mktemp("weights") / "none", [])


def clip(path, *, seconds=0.88, rate=25.0, size=SIZE, frames=None, sound="voice"):
    """Write a clip with a moving pattern, or these frames, and a buzz, silence or nothing."""
    count = max(1, round(seconds * rate))
    frames = fill_weights.image("lips/video", count, *size) if frames is None else frames
    samples = num_samples(len(frames), rate, 16_000)
    said = {
        "voice": lambda: fill_weights.voice("lips/sound", samples, 16_000)[None] / np.float32(32_768),
        "silence": lambda: np.zeros((1, samples), np.float32),
        "none": lambda: None,
    }[sound]()
    write_clip(path, Clip(frames, said, rate, 16_000), allow_silent=True)
    return ClipMedia(path)


def values(folder, media) -> dict[str, float]:
    (found,) = make_scorers(["syncnet"], ScorerSettings(weights=folder)).score([media])
    assert all(score.value is not None for score in found.scores.values()), found.scores
    return {name: score.value for name, score in found.scores.items()}


def reasons(folder, media) -> set[str]:
    (found,) = make_scorers(["syncnet"], ScorerSettings(weights=folder)).score([media])
    assert set(found.scores) == {"lse_d", "lse_c", "lip_offset_s"}
    return {score.reason for score in found.scores.values()}


def plain(folder, media, box):
    """Return what the parts give when they are put together by hand for a face that stands still."""
    network = SyncNet()
    load_published(network, folder / "syncnet_v2.model")
    x, y, width, height = box
    frames, sound = media.frames(), to_16_bits(media.waveform(16_000))
    sides = [x - width / 2, y - height / 2, x + width / 2, y + height / 2]
    track = FaceTrack(0, np.array([sides] * len(frames)))
    reader = LipReader(network)
    for frame, square in zip(frames, track.squares, strict=True):
        reader.add(cut_out(frame, square))
    count = num_windows(len(frames), len(sound))
    return lip_sync(shift_distances(reader.embeddings()[:count], speech_embeddings(network, sound, count)))


def test_a_person_gets_distance_confidence_and_offset(one_face, tmp_path):
    media = clip(tmp_path / "clip.mp4")
    wanted = plain(one_face, media, LEFT)
    assert values(one_face, media) == pytest.approx(
        {"lse_d": wanted.distance, "lse_c": wanted.confidence, "lip_offset_s": wanted.offset_frames / 25}, rel=1e-4
    )


def test_of_two_persons_the_one_nearer_to_the_speech_counts(two_faces, tmp_path):
    media = clip(tmp_path / "clip.mp4")
    both = [plain(two_faces, media, box) for box in (LEFT, RIGHT)]
    best = max(both, key=lambda one: one.confidence - one.distance)
    assert both[0].distance != pytest.approx(both[1].distance, rel=1e-3)
    assert values(two_faces, media)["lse_d"] == pytest.approx(best.distance, rel=1e-4)


def test_frames_in_parts_give_the_same(one_face, tmp_path, monkeypatch):
    media = clip(tmp_path / "clip.mp4")
    whole = values(one_face, media)
    monkeypatch.setattr(clip_inputs, "_MOST_BYTES", 10 * 240 * 320 * 3)
    assert values(one_face, media) == pytest.approx(whole, rel=1e-5)


def test_a_person_ends_where_the_shot_ends(one_face, tmp_path):
    # Neither of two shots is long enough for a person.
    frames = np.concatenate([np.full((18, *SIZE, 3), 30, np.uint8), np.full((18, *SIZE, 3), 200, np.uint8)])
    assert reasons(one_face, clip(tmp_path / "cut.mp4", frames=frames)) == {"not applicable: no face track"}
    assert values(one_face, clip(tmp_path / "whole.mp4", frames=frames[:11].repeat(2, axis=0)))["lse_d"] > 0


@pytest.mark.parametrize(("rate", "size"), [(30.0, (320, 180)), (60.0, SIZE)])
def test_other_rates_and_portraits_are_measured(one_face, tmp_path, rate, size):
    assert values(one_face, clip(tmp_path / "clip.mp4", rate=rate, size=size))["lse_d"] > 0


def test_odd_sizes_are_measured(one_face, tmp_path):
    assert values(one_face, odd(tmp_path, 24.0))["lse_d"] > 0


def odd(folder, rate):
    """Return a clip whose sides are odd numbers of pixels, as formats without halved colours have them."""
    import av

    path = folder / "odd.mkv"
    frames = fill_weights.image("lips/odd", round(0.88 * rate) + 1, 239, 321)
    said = fill_weights.voice("lips/sound", round(len(frames) * 16_000 / rate), 16_000)
    with av.open(path, "w") as container:
        video = container.add_stream("ffv1", rate=int(rate), width=321, height=239, pix_fmt="bgr0")
        audio = container.add_stream("pcm_s16le", rate=16_000, layout="mono")
        for frame in frames:
            container.mux(video.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        heard = av.AudioFrame.from_ndarray(said[None], format="s16", layout="mono")
        heard.sample_rate = 16_000
        container.mux(audio.encode(heard))
        container.mux(video.encode())
        container.mux(audio.encode())
    return ClipMedia(path)


def test_a_static_video_is_measured(one_face, tmp_path):
    still = np.repeat(fill_weights.image("lips/still", 1, *SIZE), 22, axis=0)
    assert values(one_face, clip(tmp_path / "clip.mp4", frames=still))["lse_c"] >= 0


def test_a_clip_without_a_face_is_not_applicable(nobody, tmp_path):
    assert reasons(nobody, clip(tmp_path / "clip.mp4")) == {"not applicable: no face track"}


@pytest.mark.parametrize("seconds", [0.04, 0.8])
def test_a_face_that_is_seen_for_less_than_21_frames_is_no_track(one_face, tmp_path, seconds):
    assert reasons(one_face, clip(tmp_path / "clip.mp4", seconds=seconds)) == {"not applicable: no face track"}


def test_without_something_to_hear_nothing_is_looked_at(one_face, tmp_path):
    silent = clip(tmp_path / "silent.mp4", seconds=0.2, sound="silence")
    mute = clip(tmp_path / "mute.mp4", seconds=0.2, sound="none")
    assert reasons(one_face, silent) == {"not applicable: the sound is silent"}
    assert reasons(one_face, mute) == {"not applicable: the clip has no audio"}


def test_a_clip_that_breaks_off_fails_and_the_others_go_on(nobody, tmp_path):
    whole = clip(tmp_path / "whole.mp4", seconds=0.4)
    (tmp_path / "broken.mp4").write_bytes(whole.path.read_bytes()[:700])
    found: list[Findings] = LipSyncScorer(nobody).score([ClipMedia(tmp_path / "broken.mp4"), whole])
    assert found[0].scores["lse_d"].reason.startswith("failed: ReadError")
    assert found[1].scores["lse_d"].reason == "not applicable: no face track"


def test_missing_files_are_named(one_face, tmp_path):
    media = clip(tmp_path / "clip.mp4", seconds=0.2)
    shutil.copy(one_face / "syncnet_v2.model", tmp_path)
    assert reasons(tmp_path, media) == {
        "skipped: weights: sfd_face.pth, from joonson/syncnet_python, "
        "www.robots.ox.ac.uk/~vgg/software/lipsync/data, licence: none stated"
    }


def test_files_of_other_models_are_refused(one_face, tmp_path):
    media = clip(tmp_path / "clip.mp4")
    for name, wrong, said in (
        ("syncnet_v2.model", one_face / "sfd_face.pth", r"must be the file for SyncNet .* 100 missing \(netcnnaud.0"),
        ("sfd_face.pth", None, r"must be the file for S3FD with its 65 tensors, got that of another model, 2 tensors"),
    ):
        folder = tmp_path / name.split(".")[0]
        shutil.copytree(one_face, folder)
        if wrong is None:
            # As of the code base whose file the official script falls back to.
            torch.save({"conv1_1.weight": torch.zeros(64, 3, 3, 3), "conv1_1.bias": torch.zeros(64)}, folder / name)
        else:
            shutil.copy(wrong, folder / name)
        (reason,) = reasons(folder, media)
        assert reason.startswith("failed: ConfigError: ")
        assert name in reason
        assert "must be the file for" in reason, said
