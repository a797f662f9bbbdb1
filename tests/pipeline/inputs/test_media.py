"""What a call is given besides texts: where it lies in the clip, what of it stays, and its noise."""

import numpy as np
import pytest
import torch

from mova.errors import ConfigError, GeometryError
from mova.geometry import ClipGeometry, CodecGeometry
from mova.pipeline.inputs.media import GivenMedia, draw_batch, draw_from_generator, expand_batch
from mova.types import LatentPair

GEOMETRY = ClipGeometry(32, 48, 9, 24.0, CodecGeometry(sample_rate=16_000, hop_length=320, audio_channels=4))


def picture(seed=0):
    return np.random.default_rng(seed).integers(0, 256, (32, 48, 3), dtype=np.uint8)


def test_first_and_last_frame_are_keyframes_at_the_ends():
    one, other = picture(1), picture(2)
    ends = GivenMedia(image=one, last_image=other)
    same = GivenMedia(keyframes={0: one, 8: other})
    for media in (ends, same):
        images = media.known_images(GEOMETRY)
        assert sorted(images) == [0, 8]
    by_time = GivenMedia(image=one, keyframes={0.2: other})
    placed = by_time.check(GEOMETRY)
    assert placed.keyframes == (0, 4)
    assert [str(snap) for snap in placed.snaps] == ["keyframe: 0.200 s became 0.167 s"]


def test_what_need_not_be_there_is_filled_and_what_stays_is_the_callers_own():
    film, sound = np.stack([picture(seed) for seed in range(5)]), np.linspace(-0.5, 0.5, 3500)
    media = GivenMedia(video=film, audio=sound, keep_video=[(0, 5 / 24)], keep_audio=[(0.0, 0.2)])
    placed = media.check(GEOMETRY)
    assert placed.video.latents == ((0, 2),)
    assert placed.video.media == ((0, 5),)
    assert placed.audio.latents == ((0, 10),)
    assert placed.audio.media == ((0, 3200),)
    video = media.known_video(GEOMETRY)
    assert video.shape == (1, 3, 9, 32, 48)
    assert torch.equal(video[0, :, 7], video[0, :, 4])
    assert media.known_audio(GEOMETRY)[0, 0, 3500:].abs().max() == 0


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"keyframes": {"1": picture()}}, "keyframes must be images by frame"),
        ({"keyframes": {True: picture()}}, "keyframes must be images by frame"),
        (
            {"image": picture(), "keyframes": {0: picture()}},
            "frame 0 is given as image or last_image and as a keyframe",
        ),
        ({"image": picture(), "keyframes": {0.01: picture()}}, "keyframes must lie on latent frames of their own"),
        ({"keep_video": [(0, 0.2)]}, "keep_video is for video that is given"),
        (
            {"video": np.zeros((9, 32, 48, 3), np.uint8), "keep_video": [1, 2]},
            r"keep_video must be a list of \(start, end\)",
        ),
        ({"fit": "shrink"}, "fit must be one of crop, pad, stretch"),
        ({"outputs": frozenset()}, "outputs must be one or both of video, audio"),
        (
            {"video": np.zeros((3, 32, 48, 3), np.uint8), "keep_video": [(0, 5 / 24)]},
            "video must be 5 frames or longer",
        ),
        (
            {"known_latents": LatentPair(torch.zeros(1, 16, 4, 4, 6), torch.zeros(1, 4, 19)), "keep_audio": ()},
            "known video latents must be",
        ),
    ],
)
def test_media_that_contradict_themselves_are_refused(given, text):
    with pytest.raises((ConfigError, GeometryError), match=text):
        GivenMedia(**given).check(GEOMETRY)


def test_rows_are_expanded_prompt_by_prompt():
    rows = torch.tensor([[1], [2]])
    assert expand_batch(rows, 2, 2, "image").flatten().tolist() == [1, 1, 2, 2]
    assert expand_batch(rows[:1], 2, 2, "image").flatten().tolist() == [1, 1, 1, 1]
    assert expand_batch(torch.arange(4), 2, 2, "image").tolist() == [0, 1, 2, 3]
    with pytest.raises(ConfigError, match="image must hold 1 or 2 items for 2 prompts, got 3"):
        expand_batch(torch.arange(3), 2, 2, "image")


def test_noise_of_a_sample_does_not_depend_on_its_batch():
    batch = draw_batch(GEOMETRY, ((7, 0), (7, 1), (8, 0)))
    for row, seed in enumerate(((7, 0), (7, 1), (8, 0))):
        alone = draw_batch(GEOMETRY, (seed,))
        assert torch.equal(batch.video[row], alone.video[0])
        assert torch.equal(batch.audio[row], alone.audio[0])
    assert batch.video.shape == (3, 16, 3, 4, 6)
    assert batch.audio.shape == (3, 4, 19)


def test_generators_are_one_or_one_per_clip():
    drawn = draw_from_generator(GEOMETRY, [torch.Generator().manual_seed(seed) for seed in (1, 2)], 2)
    alone = draw_from_generator(GEOMETRY, torch.Generator().manual_seed(2), 1)
    assert torch.equal(drawn.video[1:], alone.video)
    with pytest.raises(ConfigError, match=r"generator must be one or one per clip \(3\), got 2"):
        draw_from_generator(GEOMETRY, [torch.Generator()] * 2, 3)
