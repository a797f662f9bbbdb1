"""What a file says of where it comes from in the standard way: IPTC's digital source type, as XMP inside an mp4."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from uuid import UUID

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

DigitalSourceType = Literal["trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia", "algorithmicMedia"]
"""IPTC's names: made by a trained model; made so in part, of a recording; made by an algorithm without training."""

VOCABULARY = "http://cv.iptc.org/newscodes/digitalsourcetype/"
# Adobe's XMP specification, part 3, 1.1.4: a box of type "uuid" with this number holds the packet.
XMP_BOX = UUID("be7acfcb-97a9-42e8-9c71-999491e3afac")
_MAX_PACKET_BYTES = 1 << 20
_PACKET = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/">
   <xmp:CreatorTool>mova</xmp:CreatorTool>
   <Iptc4xmpExt:DigitalSourceType>{source_type}</Iptc4xmpExt:DigitalSourceType>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="r"?>"""


def append_source_type(path: str | os.PathLike[str], source_type: DigitalSourceType) -> None:
    """Add the box to the end of an mp4, where it moves nothing that the file's index points to.

    Raises:
        OSError: the file cannot be written.
    """
    packet = _PACKET.format(source_type=VOCABULARY + source_type).encode()
    with Path(path).open("ab") as file:
        file.write(struct.pack(">I4s16s", 24 + len(packet), b"uuid", XMP_BOX.bytes) + packet)


def read_xmp(path: str | os.PathLike[str]) -> str | None:
    """Return the XMP packet of an mp4; None where there is none, or no mp4.

    Raises:
        OSError: the file cannot be read.
    """
    with Path(path).open("rb") as file:
        for kind, begin, size in _boxes(path):
            if kind == b"uuid" and 16 <= size <= _MAX_PACKET_BYTES:
                file.seek(begin)
                if file.read(16) == XMP_BOX.bytes:
                    return file.read(size - 16).decode("utf-8", errors="replace")
    return None


def _boxes(path: str | os.PathLike[str]) -> Iterator[tuple[bytes, int, int]]:
    """Yield (type, first byte of the content, bytes of the content) of each box at the top of an mp4."""
    whole = Path(path).stat().st_size
    with Path(path).open("rb") as file:
        at = 0
        while at + 8 <= whole:
            file.seek(at)
            size, kind = struct.unpack(">I4s", file.read(8))
            header = 8
            if size == 1:
                size, header = struct.unpack(">Q", file.read(8).ljust(8, b"\0"))[0], 16
            size = whole - at if size == 0 else size
            if size < header or at + size > whole:
                return
            yield kind, at + header, size - header
            at += size
