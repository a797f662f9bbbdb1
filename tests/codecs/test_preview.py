"""Previews of latents: near to the decoded clip, for the model that they are of, and of nothing else."""

import json
import shutil

import numpy as np
import pytest
import torch

from mova.codecs.preview import Preview, published_preview
from mova.codecs.video import decode_video, encode_video, frames_to_tensor
from mova.errors import CheckpointError, GeometryError
from mova.names import PREVIEW_FILE
from mova.toyworld import render, sample_scene
from mova.weights.locate import find_model

FOLDER = find_model("mova-tiny")


@pytest.fixture(scope="module")
def preview():
    return Preview.for_model(FOLDER)


@pytest.fixture(scope="module")
def record():
    return json.loads((FOLDER / PREVIEW_FILE).read_text())


def test_the_preview_of_the_shipped_model_is_near_its_decoded_clips(preview):
    from mova.pipeline.load import load_pipeline

    vae = load_pipeline(FOLDER).video_vae
    frames = render(sample_scene(11, kind="ball")).clip.frames[:9]
    with torch.no_grad():
        latents = encode_video(vae, frames_to_tensor(frames))
        decoded = decode_video(vae, latents)
    images = preview(latents[0])
    assert images.shape == (3, 64, 64, 3)
    assert images.dtype == np.uint8
    small = torch.nn.functional.avg_pool2d(decoded[0].movedim(1, 0)[[0, 2, 6]], 2).add(1).mul(127.5).movedim(1, -1)
    error = np.square(images - small.numpy()).mean()
    # Twice the error of a preview that shows one colour would be nothing worth a look.
    assert error < small.var().item() / 4
    assert 10 * np.log10(255**2 / error) > 17


def test_each_cell_becomes_pixels_by_what_is_around_it():
    weight = torch.zeros(12, 2, 3, 3)
    weight[0, 0, 1, 1] = weight[5, 1, 1, 2] = 1.0  # red of the first pixel; green of the second, from the right
    preview = Preview(weight, torch.full((12,), -1.0))
    latents = torch.zeros(2, 1, 2, 3)
    latents[0, 0, 0, 0], latents[1, 0, 1, 2] = 2.0, 1.0
    (image,) = preview(latents)
    assert preview.pixels_per_cell == 2
    assert image.shape == (4, 6, 3)
    assert image[0, 0].tolist() == [255, 0, 0]
    # At the edge the nearest cell stands for what is beyond it.
    assert image[2, 3].tolist() == image[2, 5].tolist() == [0, 128, 0]
    assert image.astype(int).sum() == 255 + 2 * 128


def test_latents_that_are_not_finite_still_give_an_image(preview):
    latents = torch.full((16, 2, 3, 4), float("nan"))
    latents[:, 1] = float("inf")
    assert preview(latents).shape == (2, 12, 16, 3)


@pytest.mark.parametrize(
    "shape", [(15, 2, 4, 4), (1, 16, 2, 4, 4), (16, 4, 4), (16, 0, 4, 4), (48, 2, 4, 4)], ids=lambda shape: str(shape)
)
def test_latents_of_another_shape_are_refused(preview, shape):
    with pytest.raises(GeometryError, match=r"must be \(16, T, h, w\), one clip of the autoencoder"):
        preview(torch.zeros(shape))


def test_the_published_autoencoder_has_a_preview_of_one_pixel_per_cell(tmp_path):
    (tmp_path / "video_vae").mkdir()
    means = [-0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508]
    means += [0.4134, -0.0715, 0.5517, -0.3632, -0.1922, -0.9497, 0.2503, -0.2921]
    config = tmp_path / "video_vae" / "config.json"
    config.write_text(json.dumps({"z_dim": 16, "latents_mean": means}))
    preview = Preview.for_model(tmp_path)
    assert torch.equal(preview.weight, published_preview().weight)
    assert preview(torch.zeros(16, 3, 4, 5)).tolist()[0][0][0] == [104, 116, 85]
    config.write_text(json.dumps({"z_dim": 16, "latents_mean": means[::-1]}))
    assert Preview.for_model(tmp_path) is None
    assert Preview.for_model(tmp_path / "nowhere") is None


def test_a_map_is_written_and_read_again(preview, record, tmp_path):
    assert preview.record().items() <= record.items()
    assert (FOLDER / PREVIEW_FILE).stat().st_size < 200_000
    shutil.copy(FOLDER / PREVIEW_FILE, tmp_path / PREVIEW_FILE)
    assert torch.equal(Preview.for_model(tmp_path).weight, preview.weight)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"first": 3}, "first must be a JSON object"),
        ({"channels": 0}, "channels must be from 1 to"),
        ({"pixels_per_cell": 99}, "pixels_per_cell must be from 1 to 16, got 99"),
        ({"weight": [1.0]}, "weight must be .* numbers, got 1 values"),
        ({"bias": ["a"] * 48}, "bias must be 48 numbers"),
        ({"bias": [float("nan")] * 48}, "bias must be 48 numbers"),
        ({"reach": "1"}, "reach must be a whole number"),
    ],
    ids=str,
)
def test_a_file_that_holds_something_else_is_refused(record, tmp_path, change, text):
    (tmp_path / PREVIEW_FILE).write_text(json.dumps(record | change))
    with pytest.raises(CheckpointError, match=text):
        Preview.for_model(tmp_path)


def test_the_first_latent_frame_may_have_a_map_of_its_own(tmp_path):
    first = Preview(torch.zeros(3, 2, 1, 1), torch.tensor([1.0, -1.0, -1.0]))
    both = Preview(torch.zeros(3, 2, 1, 1), torch.tensor([-1.0, 1.0, -1.0]), first=first)
    (tmp_path / PREVIEW_FILE).write_text(json.dumps(both.record()))
    images = Preview.read(tmp_path / PREVIEW_FILE)(torch.zeros(2, 3, 1, 1))
    assert images.reshape(3, 3).tolist() == [[255, 0, 0], [0, 255, 0], [0, 255, 0]]
    assert both(torch.zeros(2, 1, 1, 1)).reshape(3).tolist() == [255, 0, 0]
    with pytest.raises(GeometryError, match="both maps of a preview must have one shape"):
        Preview(torch.zeros(3, 4, 1, 1), torch.zeros(3), first=first)


@pytest.mark.parametrize("shape", [(4, 2, 1, 1), (3, 2, 2, 2), (3, 2, 1, 3), (3, 2, 1)], ids=str)
def test_a_map_of_shapes_that_do_not_fit_is_refused(shape):
    with pytest.raises(GeometryError, match="a preview needs weights"):
        Preview(torch.zeros(shape), torch.zeros(shape[0]))
