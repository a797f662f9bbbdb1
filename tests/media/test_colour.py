import struct
from fractions import Fraction

import av
import numpy as np
import pytest

from mova.errors import ReadError
from mova.media.colour import HLG, PQ, ColourMap, tone_map
from mova.media.read import read_clip

# BT.2087: linear BT.709 to BT.2020.
TO_BT2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
COLOURS = np.array([[200, 40, 40], [40, 200, 40], [40, 40, 200], [128, 128, 128], [20, 20, 20], [0, 0, 0]])
LIGHT = (COLOURS / 255.0) ** 2.4 * 203.0 @ TO_BT2020.T  # cd/m² in BT.2020


def pq(nits):
    y = (np.asarray(nits) / 10_000) ** (2610 / 16384)
    return ((3424 / 4096 + 2413 / 128 * y) / (1 + 2392 / 128 * y)) ** (2523 / 32)


def hlg(nits):
    luma = np.maximum(nits @ np.array([0.2627, 0.6780, 0.0593]), 1e-9)
    scene = nits / 1000 / ((luma / 1000) ** (0.2 / 1.2))[..., None]
    high = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), high)


def sdr(nits):
    return (nits / 203) ** (1 / 2.4)


def make_deep(path, signal, *, transfer, primaries=9, space=9, full_range=False, peak=None, size=(32, 16)):
    """Write a 10-bit video of bars of these R'G'B' signals in [0, 1]."""
    params = "log-level=none:lossless=1"
    if peak:
        params += f":master-display=G(8500,39850)B(6550,2300)R(35400,14600)WP(15635,16450)L({peak * 10_000},50)"
    red, blue = {9: (0.2627, 0.0593), 1: (0.2126, 0.0722)}[space if space in (1, 9) else 9]
    rgb = np.repeat(np.asarray(signal)[None], size[0], axis=0).repeat(size[1], axis=1)
    y = rgb @ np.array([red, 1 - red - blue, blue])
    parts = [y, ((rgb[..., 2] - y) / (2 - 2 * blue))[::2, ::2], ((rgb[..., 0] - y) / (2 - 2 * red))[::2, ::2]]
    offsets, scales = ((0, 512, 512), (1023, 1023, 1023)) if full_range else ((64, 512, 512), (876, 896, 896))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx265", rate=24, options={"x265-params": params})
        stream.height, stream.width, stream.pix_fmt = *rgb.shape[:2], "yuv420p10le"
        context = stream.codec_context
        context.color_trc, context.color_primaries, context.colorspace = transfer, primaries, space
        context.color_range = 2 if full_range else 1
        for index in range(5):
            frame = av.VideoFrame(rgb.shape[1], rgb.shape[0], "yuv420p10le")
            for plane, part, offset, scale in zip(frame.planes, parts, offsets, scales, strict=True):
                rows = np.zeros((plane.height, plane.line_size // 2), np.uint16)
                rows[:, : plane.width] = np.rint(offset + scale * part).clip(0, 1023)
                plane.update(rows.tobytes())
            frame.pts, frame.time_base = index, Fraction(1, 24)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def bars(path, num_bars, **options):
    return read_clip(path, **options).frames[2, 16, 8::16][:num_bars].astype(int)


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize(("transfer", "encode"), [(PQ, pq), (HLG, hlg), (14, sdr), (1, sdr)])
def test_known_colours_up_to_reference_white_come_out_as_they_are(tmp_path, transfer, encode, full_range):
    path = make_deep(tmp_path / "film.mp4", encode(LIGHT), transfer=transfer, full_range=full_range)
    assert np.abs(bars(path, len(COLOURS)) - COLOURS).max() <= 3


def test_light_above_reference_white_is_rolled_off_and_keeps_its_hue(tmp_path):
    light = np.array([[203.0] * 3, [500.0] * 3, [1000.0] * 3, [4000.0] * 3, [600.0, 300.0, 300.0]]) @ TO_BT2020.T
    usual = bars(make_deep(tmp_path / "usual.mp4", pq(light), transfer=PQ), 5)
    stated = bars(make_deep(tmp_path / "stated.mp4", pq(light), transfer=PQ, peak=4000), 5)
    assert usual[:4, 0].tolist() == pytest.approx([230, 253, 255, 255], abs=3)
    assert stated[0, 0] < usual[0, 0]
    assert stated[1, 0] < stated[2, 0] < stated[3, 0] == 255, "up to the stated peak, light stays apart"
    linear = (usual[4] / 255.0) ** 2.4
    assert linear[0] / linear[1] == pytest.approx(2.0, abs=0.1)


def test_the_curve_is_that_of_bt2390():
    nits = np.array([0.0, 1.0, 50.0, 203.0, 1000.0, 5000.0])
    np.testing.assert_allclose(tone_map(nits, 1000.0), [0.0, 1.0, 50.0, 158.3, 203.0, 203.0], rtol=0.01, atol=1e-6)
    np.testing.assert_allclose(tone_map(nits, 200.0), np.minimum(nits, 203.0))
    assert (np.diff(tone_map(np.linspace(0, 1000, 500), 1000.0)) > 0).all()


def test_other_primaries_are_mapped_and_colours_outside_are_cut(tmp_path):
    path = make_deep(tmp_path / "film.mp4", [[1.0, 0.0, 0.0], [1.0, 1.0, 1.0]], transfer=1, primaries=12, space=1)
    assert np.abs(bars(path, 2) - [[255, 0, 0], [255, 255, 255]]).max() <= 2
    path = make_deep(tmp_path / "same.mp4", [[0.8, 0.2, 0.2]], transfer=1, primaries=1, space=1)
    assert np.abs(bars(path, 1) - np.rint(255 * np.array([0.8, 0.2, 0.2]))).max() <= 2


def test_a_smaller_size_is_mapped_alike(tmp_path):
    path = make_deep(tmp_path / "film.mp4", pq(LIGHT[:1]), transfer=PQ, size=(64, 64))
    for size in ((32, 32), (24, 16), (64, 64), (128, 128)):
        frames = read_clip(path, size=size).frames
        assert frames.shape[1:3] == size
        assert np.abs(frames[2].astype(int) - COLOURS[0]).max() <= 4


@pytest.mark.parametrize("space", [10, 14])
def test_matrices_that_cannot_be_undone_are_refused(tmp_path, space):
    path = make_deep(tmp_path / "film.mp4", [[0.5, 0.5, 0.5]], transfer=PQ, space=space)
    with pytest.raises(ReadError, match=r"a video's colours must be .* got .*film\.mp4 in (BT\.2020 constant|ICtCp)"):
        read_clip(path)


def test_dolby_vision_without_a_base_layer_is_refused(tmp_path):
    path = make_deep(tmp_path / "film.mp4", [[0.5, 0.5, 0.5]], transfer=2, primaries=2, space=9)
    whole = path.read_bytes()
    assert b"hev1" in whole
    path.write_bytes(whole.replace(b"hev1", b"dvhe"))
    with pytest.raises(ReadError, match=r"got .*film\.mp4 in Dolby Vision without a base layer"):
        read_clip(path)


def test_black_and_the_ends_of_the_range_are_finite():
    codes = np.array([[[0, 0, 0], [65_535] * 3, [0, 0, 65_535]]], np.uint16)
    for transfer in (PQ, HLG, 1):
        mapped = ColourMap(transfer, 9, 1000.0)(codes)
        assert mapped[0, 0].tolist() == [0, 0, 0]
        assert mapped[0, 1].tolist() == [255, 255, 255]


def test_tags_of_the_container_count_where_the_stream_has_none(tmp_path):
    path = make_deep(tmp_path / "film.mp4", pq(LIGHT), transfer=2, primaries=2, space=2)
    whole = path.read_bytes()
    # The container's own box: primaries, transfer, matrix.
    box = b"colrnclx" + struct.pack(">3HB", 9, PQ, 9, 0)
    assert (bars(path, 1)[0] != COLOURS[0]).any()
    if b"colr" in whole:
        at = whole.index(b"colr")
        path.write_bytes(whole[:at] + box + whole[at + len(box) :])
    else:
        path.write_bytes(_with_box(whole, box))
    assert np.abs(bars(path, len(COLOURS)) - COLOURS).max() <= 3


def _with_box(data, content):
    """Put a box behind the one that holds the decoder's configuration, and make the boxes around it larger."""
    box = struct.pack(">I", 4 + len(content)) + content
    at = data.index(b"hvcC") - 4
    end = at + struct.unpack(">I", data[at : at + 4])[0]
    changed = bytearray(data)
    for name in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"hev1"):
        place = data.index(name) - 4
        changed[place : place + 4] = struct.pack(">I", struct.unpack(">I", data[place : place + 4])[0] + len(box))
    return bytes(changed[:end]) + box + bytes(changed[end:])
