import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mova.errors import ConfigError, GeometryError, ReadError
from mova.media.frames import check_fit, cover, display_size, fit_image, frames_to_float, read_image


def test_reads_plain_pictures_in_common_formats(tmp_path):
    picture = np.zeros((8, 12, 3), np.uint8)
    picture[:, 6:] = (250, 120, 10)
    for name in ("a.png", "a.bmp", "a.webp", "a.tiff"):
        Image.fromarray(picture).save(tmp_path / name, **({"lossless": True} if name == "a.webp" else {}))
        np.testing.assert_array_equal(read_image(tmp_path / name), picture)


def test_orientation_tag_is_applied(tmp_path):
    picture = np.zeros((8, 16, 3), np.uint8)
    picture[:4, :8] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to see it upright
    Image.fromarray(picture).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), np.rot90(picture, -1))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_lies_on_white(tmp_path, mode):
    image = Image.new("RGBA", (4, 2), (0, 0, 0, 0))
    image.putpixel((1, 0), (0, 0, 0, 255))
    image.putpixel((2, 0), (0, 0, 0, 128))
    if mode == "P":
        image.putpixel((2, 0), (0, 0, 0, 255))
    image.convert(mode).save(tmp_path / "a.png")
    picture = read_image(tmp_path / "a.png")
    assert picture.shape == (2, 4, 3)
    assert (picture[1] == 255).all()
    assert (picture[0, 1] == 0).all()
    if mode != "P":
        assert np.abs(picture[0, 2].astype(int) - 127).max() <= 1


def test_other_colour_modes_become_rgb(tmp_path):
    Image.fromarray(np.array([[0, 257 * 100, 65535]], np.uint16)).save(tmp_path / "grey16.png")
    np.testing.assert_array_equal(read_image(tmp_path / "grey16.png")[0, :, 0], [0, 100, 255])
    Image.new("CMYK", (4, 4), (0, 255, 255, 0)).save(tmp_path / "a.jpg")
    red = read_image(tmp_path / "a.jpg")[0, 0].astype(int)
    assert red[0] > 200
    assert max(red[1:]) < 60


def test_images_that_cannot_be_read_are_named(tmp_path):
    (tmp_path / "text.png").write_text("hello")
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "whole.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:1500])
    Image.fromarray(noise).save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:1500])
    for name, message in (
        ("missing.png", r"must exist, got .*missing\.png"),
        ("", "must be a file, got the directory"),
        ("text.png", r"must be one of PNG, .* got .*text\.png"),
        ("cut.jpg", r"must be readable, got .*cut\.jpg: .*truncated"),
        ("cut.png", r"must be readable, got .*cut\.png: "),
    ):
        with pytest.raises(ReadError, match=message):
            read_image(tmp_path / name)


@settings(max_examples=30, deadline=None)
@given(
    source=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    crop=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    aspect=st.floats(0.3, 3.0),
)
def test_cover_fills_any_size_and_keeps_a_flat_colour(source, size, crop, aspect):
    picture = np.full((*source, 3), (10, 130, 250), np.uint8)
    result = cover(picture, size, crop=crop, pixel_aspect=aspect)
    assert result.shape == (*size, 3)
    np.testing.assert_array_equal(result, np.broadcast_to([10, 130, 250], result.shape))


def test_cover_keeps_proportions():
    y, x = np.mgrid[:120, :200]
    disc = (np.hypot(y - 59.5, x - 99.5) < 40).astype(np.uint8)[..., None].repeat(3, 2) * 255
    small = cover(disc, (64, 48))[..., 0] > 128
    spread_y, spread_x = (np.ptp(axis) + 1 for axis in np.nonzero(small))
    assert spread_y == pytest.approx(80 * 64 / 120, abs=2)
    assert spread_x == pytest.approx(spread_y, abs=1)


def test_crop_chooses_the_part():
    picture = np.zeros((30, 10, 3), np.uint8)
    picture[:10], picture[10:20], picture[20:] = 50, 100, 200
    for place, level in ((0.0, 50), (0.5, 100), (1.0, 200)):
        np.testing.assert_array_equal(cover(picture, (10, 10), crop=(place, 0.5)), np.full((10, 10, 3), level))


def test_cover_refuses_impossible_sizes_and_crops():
    picture = np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(GeometryError, match="at least 1x1, got height 4 and width 0"):
        cover(picture, (4, 0))
    with pytest.raises(GeometryError, match=r"crop must lie in \[0, 1\] in both directions, got \(-0.1, 0.5\)"):
        cover(picture, (4, 4), crop=(-0.1, 0.5))


def test_display_size_loses_no_pixels():
    assert display_size(480, 720) == (480, 720)
    assert display_size(576, 720, pixel_aspect=16 / 15) == (576, 768)
    assert display_size(576, 720, pixel_aspect=0.5) == (1152, 720)
    assert display_size(480, 720, quarter_turns=3) == (720, 480)


def test_frames_come_in_the_range_and_layout_of_the_models():
    steps = np.arange(256, dtype=np.uint8).repeat(3).reshape(2, 8, 16, 3)
    video = frames_to_float(steps)
    assert (video.shape, video.dtype) == ((3, 2, 8, 16), np.float32)
    assert (video.min(), video.max()) == (-1.0, 1.0)
    np.testing.assert_allclose((video.transpose(1, 2, 3, 0) + 1) * 127.5, steps, atol=1e-4)


def test_other_layouts_are_refused():
    with pytest.raises(GeometryError, match=r"must be \(F, H, W, 3\) uint8, got \(1, 4, 4, 3\) float32"):
        frames_to_float(np.zeros((1, 4, 4, 3), np.float32))


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_a_shape_is_cut_framed_or_stretched_by_name(fit):
    wide = np.full((50, 200, 3), 200, dtype=np.uint8)
    fitted = fit_image(wide, (100, 100), fit)
    assert fitted.shape == (100, 100, 3)
    rows = (fitted == 200).all((1, 2))
    assert rows.sum() == (25 if fit == "pad" else 100)
    if fit == "pad":
        assert (fitted[:37] == 0).all()
        # Pixels twice as wide as high: the same image is half as high again.
        assert (fit_image(wide, (100, 100), fit, pixel_aspect=2.0) == 200).all((1, 2)).sum() == 12
    assert check_fit(fit) == fit
    same = fit_image(fitted, (100, 100), fit)
    assert np.array_equal(same, fitted)


def test_fits_that_there_are_not_are_refused_with_the_nearest():
    with pytest.raises(ConfigError, match="fit must be one of crop, pad, stretch; got 'strech'; nearest is stretch"):
        check_fit("strech")
    with pytest.raises(GeometryError, match="at least 1x1"):
        fit_image(np.zeros((4, 4, 3), np.uint8), (0, 4), "pad")
