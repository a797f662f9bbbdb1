from fractions import Fraction

import av
import numpy as np
import pytest

from mova.errors import ReadError
from mova.media.read import read_clip


def test_variable_frame_rate_is_placed_by_time_stamps(films, tmp_path):
    ticks = [0, 10, 20, 50, 100, 101, 102, 150, 190]  # hundredths of a second
    path = films.make(
        tmp_path / "film.mp4", films.numbered(len(ticks)), rate=100, ticks=ticks, time_base=Fraction(1, 100)
    )
    clip = read_clip(path, frame_rate=20, num_frames=38)
    expected = [max(n for n, tick in enumerate(ticks) if tick <= 5 * i) for i in range(38)]
    assert [films.read_stamp(frame) for frame in clip.frames] == expected


def test_reordered_pictures_without_presentation_times_stay_in_order(films, tmp_path):
    path = films.make(tmp_path / "film.avi", films.numbered(48), codec="libx264")
    assert [films.read_stamp(frame) for frame in read_clip(path).frames] == list(range(48))
    assert [films.read_stamp(frame) for frame in read_clip(path, start_s=1.5).frames] == list(range(36, 48))


def test_damage_outside_the_span_does_no_harm(films, tmp_path):
    path = films.make(tmp_path / "film.mp4", films.numbered(200), gop=25)
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    for position, size in packets[26:75]:
        data[position : position + size] = bytes(size)
    path.write_bytes(data)
    clip = read_clip(path, start_s=5.0, num_frames=24)
    assert [films.read_stamp(frame) for frame in clip.frames] == list(range(120, 144))
    with pytest.raises(ReadError, match=r"must be decodable, got .*film\.mp4"):
        read_clip(path)


@pytest.mark.parametrize(
    ("degrees", "mirrored", "corner"),
    [
        (0, False, "top left"),
        (90, False, "bottom left"),
        (180, False, "bottom right"),
        (270, False, "top right"),
        # FFmpeg turns first and mirrors what comes out.
        (0, True, "top right"),
        (90, True, "bottom right"),
        (180, True, "bottom left"),
        (270, True, "top left"),
    ],
)
def test_rotated_pictures_are_upright(films, tmp_path, degrees, mirrored, corner):
    picture = np.zeros((32, 64, 3), np.uint8)
    picture[:16, :32] = 255  # top left as stored
    path = films.make(tmp_path / "film.mp4", [picture] * 3, degrees=degrees, mirrored=mirrored)
    frame = read_clip(path).frames[0]
    height, width = frame.shape[:2]
    assert (height, width) == ((64, 32) if degrees % 180 else (32, 64))
    corners = {
        f"{vertical} {horizontal}": frame[rows, columns].mean()
        for vertical, rows in (("top", slice(0, height // 2)), ("bottom", slice(height // 2, None)))
        for horizontal, columns in (("left", slice(0, width // 2)), ("right", slice(width // 2, None)))
    }
    assert max(corners, key=corners.__getitem__) == corner
    assert corners[corner] > 240


@pytest.mark.parametrize(("aspect", "size"), [((2, 1), (64, 128)), ((1, 2), (128, 64)), ((16, 15), (64, 68))])
@pytest.mark.parametrize("degrees", [0, 90])
def test_oblong_pixels_become_square(films, tmp_path, aspect, size, degrees):
    y, x = np.mgrid[:64, :64]
    disc = (np.hypot(y - 31.5, x - 31.5) < 24).astype(np.uint8)[..., None].repeat(3, 2) * 255
    path = films.make(tmp_path / "film.mkv", [disc] * 3, aspect=Fraction(*aspect), degrees=None)
    rotated = films.make(tmp_path / "film.mp4", [disc] * 3, aspect=Fraction(*aspect), degrees=degrees)
    assert read_clip(path).frames.shape[1:3] == size
    frame = read_clip(rotated).frames[0][..., 0] > 128
    assert frame.shape == (size if degrees == 0 else size[::-1])
    spread_y, spread_x = (np.ptp(axis) + 1 for axis in np.nonzero(frame))
    wanted_x, wanted_y = (48 * frame.shape[1] / 64, 48 * frame.shape[0] / 64)
    assert (spread_x, spread_y) == (pytest.approx(wanted_x, abs=2), pytest.approx(wanted_y, abs=2))


@pytest.mark.parametrize(("height", "space"), [(64, "ITU601"), (720, "ITU709")])
def test_untagged_colours_are_taken_as_players_do(films, tmp_path, height, space):
    picture = np.full((height, 64, 3), (220, 40, 90), np.uint8)
    path = films.make(tmp_path / "film.mkv", [picture] * 2, colour_space=space)
    assert np.abs(read_clip(path).frames.astype(int) - picture).max() <= 4


def test_size_covers_and_crops(films, tmp_path):
    picture = np.zeros((64, 128, 3), np.uint8)
    picture[:, :64] = (255, 0, 0)
    picture[:, 64:] = (0, 0, 255)
    path = films.make(tmp_path / "film.mp4", [picture] * 3)
    centre = read_clip(path, size=(32, 32)).frames[0]
    assert centre.shape == (32, 32, 3)
    assert centre[:, :14, 0].mean() > 200
    assert centre[:, 18:, 2].mean() > 200
    left = read_clip(path, size=(32, 32), crop=(0.5, 0.0)).frames[0]
    assert left[..., 2].mean() < 30


def make_transparent(path, codec, pixel_format, options, tags):
    """Write a film whose left half is clear over green, and whose right half is (200, 40, 40)."""
    rgba = np.zeros((64, 64, 4), np.uint8)
    rgba[:, :32], rgba[:, 32:] = (10, 200, 30, 0), (200, 40, 40, 255)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=24, options=options)
        stream.height, stream.width, stream.pix_fmt = 64, 64, pixel_format
        stream.metadata.update(tags)
        for index in range(5):
            frame = av.VideoFrame.from_ndarray(rgba, format="rgba")
            frame = frame.reformat(format=pixel_format, dst_colorspace="ITU601")
            frame.pts, frame.time_base = index, Fraction(1, 24)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format", "options"),
    [
        ("film.mov", "qtrle", "argb", {}),
        ("film.mov", "png", "rgba", {}),
        ("film.mov", "prores_ks", "yuva444p10le", {"profile": "4444"}),
        ("film.webm", "libvpx-vp9", "yuva420p", {"auto-alt-ref": "0"}),
        ("film.webm", "libvpx", "yuva420p", {"auto-alt-ref": "0"}),
        ("film.mkv", "ffv1", "yuva444p", {}),
    ],
)
def test_transparent_pictures_lie_on_white(tmp_path, name, codec, pixel_format, options):
    tags = {"alpha_mode": "1"} if name.endswith("webm") else {}
    path = make_transparent(tmp_path / name, codec, pixel_format, options, tags)
    for clip in (read_clip(path), read_clip(path, start_s=0.1)):
        frame = clip.frames[-1].astype(int)
        assert np.abs(frame[32, 8] - 255).max() <= 2
        assert np.abs(frame[32, 56] - (200, 40, 40)).max() <= 4
    assert len(read_clip(path).frames) == 5


def test_a_film_read_to_its_end_is_bounded_where_its_times_are_absurd(films, tmp_path):
    ticks = [0, 1, 2, 10_000_000]
    path = films.make(tmp_path / "film.mkv", films.numbered(4), ticks=ticks, time_base=Fraction(1, 24))
    with pytest.raises(ReadError, match=r"read to its end must have at most \d+ frames of 80x32"):
        read_clip(path)
    assert len(read_clip(path, num_frames=5).frames) == 5
