import struct
from uuid import UUID
from xml.etree import ElementTree

import av
import numpy as np
import pytest

from mova.errors import MuxError
from mova.geometry import num_samples
from mova.media import write
from mova.media.provenance import read_xmp
from mova.media.read import read_clip
from mova.media.write import read_metadata, write_clip
from mova.types import Clip

XMP = UUID("BE7ACFCB-97A9-42E8-9C71-999491E3AFAC").bytes
IPTC = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType"
PREFIX = "http://cv.iptc.org/newscodes/digitalsourcetype/"


def clip(num_frames=9):
    return Clip(
        np.zeros((num_frames, 32, 48, 3), np.uint8), np.zeros((1, num_samples(num_frames, 24, 16_000))), 24.0, 16_000
    )


def top_boxes(data):
    at, found = 0, []
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at : at + 8])
        found.append((kind, data[at + 8 : at + size]))
        at += size
    assert at == len(data)
    return found


@pytest.mark.parametrize("kind", ["trainedAlgorithmicMedia", "algorithmicMedia"])
def test_every_file_says_in_xmp_that_it_is_generated(tmp_path, kind):
    path = tmp_path / "a.mp4"
    options = {} if kind == "trainedAlgorithmicMedia" else {"source_type": kind}
    write_clip(path, clip(), metadata={"prompt": "a dog"}, **options)
    boxes = top_boxes(path.read_bytes())
    packets = [content[16:] for kind, content in boxes if kind == b"uuid" and content[:16] == XMP]
    assert len(packets) == 1
    tree = ElementTree.fromstring(packets[0].decode("utf-8").partition("?>")[2].rpartition("<?")[0])
    assert [element.text for element in tree.iter(IPTC)] == [PREFIX + kind]
    assert read_xmp(path) == packets[0].decode("utf-8")
    names = [name for name, _ in boxes]
    assert names.index(b"moov") < names.index(b"mdat"), "the index stands at the front"
    assert read_metadata(path)["prompt"] == "a dog"


def test_the_file_plays_as_before(tmp_path):
    write_clip(tmp_path / "a.mp4", clip())
    assert read_clip(tmp_path / "a.mp4").frames.shape == (9, 32, 48, 3)
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 9
    (tmp_path / "b.mp4").write_bytes(b"\0\0\0\x01free" + bytes(4))
    assert read_xmp(tmp_path / "b.mp4") is None


def test_a_file_that_cannot_take_it_is_not_kept(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(write, "append_source_type", fail)
    with pytest.raises(MuxError, match="No space left"):
        write_clip(tmp_path / "a.mp4", clip())
    assert not list(tmp_path.iterdir())
