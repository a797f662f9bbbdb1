import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mova.codecs.video import encode_video, frames_to_tensor
from mova.conditioning.frames import fold_mask, frame_condition, known_frames, known_images
from mova.errors import ConfigError, GeometryError
from mova.geometry import ClipGeometry, CodecGeometry

GEOMETRY = ClipGeometry(32, 48, 9, 24.0, CodecGeometry(audio_channels=16))


def picture(seed=0, batch_size=1):
    return torch.rand(batch_size, 3, 32, 48, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_first_frame_condition_equals_the_recorded_one(published_vae, record):
    image = frames_to_tensor(record["input.image_uint8"].numpy()[None])[:, :, 0]
    torch.testing.assert_close(image, record["input.image_preprocessed"], atol=0, rtol=0)
    condition = frame_condition(published_vae, {0: image}, GEOMETRY)
    torch.testing.assert_close(condition, record["input.condition"], atol=1e-5, rtol=1e-5)


def test_last_frame_marks_the_last_channel_of_the_last_latent_frame(published_vae):
    condition = frame_condition(published_vae, {0: picture(), -1: picture(1)}, GEOMETRY)
    mask = condition[0, :4, :, 0, 0]
    assert mask.tolist() == [[1, 0, 0], [1, 0, 0], [1, 0, 0], [1, 0, 1]]
    frames = torch.zeros(1, 3, 9, 32, 48)
    frames[:, :, 0], frames[:, :, 8] = picture(), picture(1)
    torch.testing.assert_close(condition[:, 4:], encode_video(published_vae, frames), atol=1e-5, rtol=1e-5)


def test_key_frame_in_the_middle_is_seen_where_it_is(published_vae):
    with_key = frame_condition(published_vae, {0: picture(), 6: picture(1)}, GEOMETRY)
    without = frame_condition(published_vae, {0: picture()}, GEOMETRY)
    assert with_key[0, :4, :, 0, 0].nonzero().tolist() == [[0, 0], [1, 0], [1, 2], [2, 0], [3, 0]]
    difference = (with_key - without)[0, 4:].abs().amax((0, 2, 3))
    assert difference[0] == 0, "the autoencoder is causal"
    assert difference[2] > 0


def test_no_image_is_white_by_default_and_nothing_on_request(published_vae):
    white = frame_condition(published_vae, {}, GEOMETRY)
    explicit = frame_condition(published_vae, {0: torch.ones(1, 3, 32, 48)}, GEOMETRY)
    assert torch.equal(white, explicit)
    nothing = frame_condition(published_vae, {}, GEOMETRY, null_image="none")
    assert nothing.shape == white.shape
    assert nothing.abs().max() == 0


def test_training_form_agrees_with_the_request_form(published_vae):
    frames = torch.rand(2, 3, 9, 32, 48) * 2 - 1
    known = torch.zeros(2, 9, dtype=torch.bool)
    known[0, 0] = True
    condition = known_frames(published_vae, frames, known).joined()
    expected = frame_condition(published_vae, {0: frames[:1, :, 0]}, GEOMETRY)
    torch.testing.assert_close(condition[:1], expected, atol=1e-5, rtol=1e-5)
    assert condition[1].abs().max() == 0, "a sample without known frames is the null image 'none'"


def test_a_batch_of_images_gives_what_single_images_give(published_vae):
    images = picture(batch_size=2)
    together = frame_condition(published_vae, {0: images}, GEOMETRY)
    alone = frame_condition(published_vae, {0: images[1:]}, GEOMETRY)
    torch.testing.assert_close(together[1:], alone, atol=1e-5, rtol=1e-5)


@settings(max_examples=30, deadline=None)
@given(num_latent_frames=st.integers(1, 8), data=st.data())
def test_mask_places_every_pixel_frame_once(num_latent_frames, data):
    num_frames = 1 + 4 * (num_latent_frames - 1)
    index = data.draw(st.integers(0, num_frames - 1))
    known = torch.zeros(1, num_frames, dtype=torch.bool)
    known[0, index] = True
    mask = fold_mask(known, 4)
    assert mask.shape == (1, 4, num_latent_frames)
    if index == 0:
        assert mask[0, :, 0].tolist() == [1] * 4
        assert mask.sum() == 4
    else:
        assert mask.nonzero().tolist() == [[0, (index - 1) % 4, 1 + (index - 1) // 4]]


def test_wrong_images_are_errors(published_vae):
    with pytest.raises(GeometryError, match=r"frame index must lie in \[-9, 8\], got 9"):
        frame_condition(published_vae, {9: picture()}, GEOMETRY)
    with pytest.raises(GeometryError, match=r"must be \(B, 3, 32, 48\), got \(1, 3, 16, 16\)"):
        frame_condition(published_vae, {0: torch.zeros(1, 3, 16, 16)}, GEOMETRY)
    with pytest.raises(ConfigError, match="frame 8 is given twice"):
        frame_condition(published_vae, {8: picture(), -1: picture()}, GEOMETRY)
    with pytest.raises(ConfigError, match="null_image must be one of white, none, got 'black'"):
        frame_condition(published_vae, {}, GEOMETRY, null_image="black")
    with pytest.raises(GeometryError, match="must name 9 frames, got 5"):
        known_frames(published_vae, torch.zeros(1, 3, 9, 32, 48), torch.ones(5, dtype=torch.bool))


def test_encoded_clips_are_conditioned_in_training_as_they_are_in_generation(published_vae):
    """What training stores in two parts, leaves out and joins again is what generation makes of the same frames."""
    torch.manual_seed(3)
    frames = torch.rand(3, 3, 9, 32, 48) * 2 - 1
    known = torch.zeros(3, 9, dtype=torch.bool)
    known[:, 0] = True
    stored = known_frames(published_vae, frames, known)
    white = known_images(published_vae, {}, GEOMETRY).latents[0]
    flags = torch.eye(3, dtype=torch.bool)
    trained = stored.with_first_frame(flags[1], white).without(flags[2]).joined()
    generated = [
        frame_condition(published_vae, {0: frames[:1, :, 0]}, GEOMETRY),
        frame_condition(published_vae, {}, GEOMETRY),
        frame_condition(published_vae, {}, GEOMETRY, null_image="none"),
    ]
    # A batch is encoded together in training, one clip at a time in generation.
    torch.testing.assert_close(trained[:1], generated[0], atol=1e-5, rtol=1e-5)
    assert torch.equal(trained[1:2], generated[1])
    assert torch.equal(trained[2:], generated[2])
