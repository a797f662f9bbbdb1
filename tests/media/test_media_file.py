import av
import pytest

from mova.errors import ReadError
from mova.media.media_file import check_whole
from mova.media.probe import probe, probe_video
from mova.media.read import read_audio, read_frames, read_span


def test_a_file_that_breaks_off_is_told_without_decoding(films, tmp_path):
    for name in ("film.mkv", "film.mp4", "film.avi"):
        faststart = {"movflags": "+faststart"} if name.endswith("mp4") else {}
        path = films.make_with_clicks(tmp_path / name, options=faststart)
        check_whole(path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(ReadError, match=name):
            check_whole(path)


def test_audio_that_cannot_be_decoded_leaves_another_track_or_the_video(films, tmp_path):
    path = tmp_path / "film.mkv"
    sound = films.clicks([0.5], 1.0, 48_000)
    films.make(path, films.numbered(24), sound=sound, audio_codec="pcm_s16le")
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"A_PCM/INT/LIT", b"A_PCX/INT/LIT"))
    assert probe_video(path).num_frames is None
    assert len(read_frames(path, frame_rate=24.0, num_frames=24)) == 24
    with pytest.raises(ReadError, match="an audio codec must be one that FFmpeg decodes"):
        probe(path)


@pytest.mark.parametrize("damage", ["codec", "packets"])
def test_another_audio_track_is_taken_where_the_first_cannot_be_decoded(films, tmp_path, damage):
    path = films.make_tracks(tmp_path / "film.mka", [films.clicks([at], 1.0, 16_000) for at in (0.2, 0.6)])
    whole = path.read_bytes()
    if damage == "codec":
        path.write_bytes(whole.replace(b"A_FLAC", b"A_FLOC", 1))
    else:
        with av.open(str(path)) as container:
            packets = [(packet.pos, packet.size) for packet in container.demux(audio=0) if packet.size]
        data = bytearray(whole)
        for position, size in packets:
            at = whole.index(b"\xff\xf8", position)
            data[at : at + size - 4] = bytes(size - 4)
        path.write_bytes(data)
    audio = read_audio(path, sample_rate=16_000, length=12_000)
    assert films.onsets_s(audio.waveform, 16_000) == pytest.approx([0.6], abs=0.01)


class Pipe:
    """A file that cannot be gone back in."""

    def __init__(self, path):
        self._file = path.open("wb")

    def write(self, data):
        return self._file.write(data)

    def close(self):
        self._file.close()


@pytest.mark.parametrize("name", ["film.avi", "film.mkv", "film.flv", "film.nut"])
def test_what_was_written_into_a_pipe_has_its_measured_length(films, tmp_path, name):
    whole = films.make_with_clicks(tmp_path / f"whole{name}")
    pipe = Pipe(tmp_path / name)
    with av.open(str(whole)) as source, av.open(pipe, "w", format=name[5:].replace("mkv", "matroska")) as target:
        streams = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.size:
                packet.stream = streams[packet.stream.index]
                target.mux(packet)
    pipe.close()
    check_whole(tmp_path / name)
    # AVI has no time stamps for frames that are shown in another order than they are stored in.
    assert probe(tmp_path / name).video.duration_s == pytest.approx(2.0, abs=0.05)
    assert len(read_span(tmp_path / name, frame_rate=24.0).clip.frames) == 48
