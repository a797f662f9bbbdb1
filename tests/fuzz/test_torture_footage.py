"""A folder of footage of every kind that strangers have: each file ends as clips or with a reason; none hangs or stops.

All of it takes minutes and is run by the slow tests; some files stand for the others in the fast ones.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

import footage_kit as kit
from mova.curate.config.cut import CutSection
from mova.curate.config.source import SourceSection
from mova.curate.cut.listing import list_sources
from mova.curate.cut.stage import CutStage
from mova.curate.records import State
from mova.curate.stage import Unit
from mova.curate.units import unit_of_source
from mova.media.read import read_clip

SECONDS = 3.4
HALF_A_FRAME_S = 0.5 / 24
CLIPS = "clips"
EITHER = "clips or corrupt_media"


@dataclass(frozen=True)
class Trial:
    """A file: how it is made, what becomes of it, whether flashes and beeps stay together, and of how many pieces."""

    make: Callable[[Path], object]
    expected: str = CLIPS
    in_step: bool = True
    pieces: int = 1


def plain(rate=24, seconds=SECONDS, **options):
    return lambda path: kit.flash_and_beep(path, *kit.steady_ticks(Fraction(rate), seconds), **options)


def uneven(**options):
    return lambda path: kit.flash_and_beep(path, *kit.uneven_ticks(SECONDS), **options)


def with_audio(change, **options):
    def make(path):
        ticks, base = kit.steady_ticks(24, SECONDS)
        events = kit.event_times(ticks, base, 0.6)
        audio = change(kit.beeps(events, SECONDS))
        return kit.flash_and_beep(path, ticks, base, audio=audio, **options)

    return make


def edited(change, make=None):
    """Make a file, then change its bytes."""

    def both(path):
        (make or plain())(path)
        path.write_bytes(change(path.read_bytes()))

    return both


def by_ffmpeg(*arguments, before=(), suffix=".mp4", **options):
    """Make a file, and let the binary of imageio-ffmpeg make another of it."""

    def make(path):
        first = path.with_name(f".{path.stem}-first{suffix}")
        plain(**options)(first)
        kit.ffmpeg(*before, "-i", str(first), *arguments, str(path))
        first.unlink()

    return make


def changed_frames(change, **options):
    """Make a file whose frames went through `change(frame, time)`."""

    def make(path):
        ticks, base = kit.steady_ticks(24, SECONDS)
        events = kit.event_times(ticks, base, 0.6)
        size = options.pop("size", (64, 96)) if "size" in options else (64, 96)
        frames = kit.flash_frames(ticks, base, events, size)
        changed = (change(frame.copy(), float(tick * base)) for frame, tick in zip(frames, ticks, strict=True))
        audio = kit.beeps(events, SECONDS)
        kit.write_video(path, changed, ticks, base, audio=audio, **options)

    return make


def black(*part):
    def change(frame, time):
        frame[part] = 0
        return frame

    return change


def lead_in(frame, time):
    return frame * 0 if time < 1.0 else frame


def mute(path):
    kit.write_video(path, kit.shots(3.0, [9.0]), *kit.steady_ticks(24, 3))


def joined(*pieces):
    def make(path):
        content = b""
        for piece in pieces:
            piece(path)
            content += path.read_bytes()
        path.write_bytes(content)

    return make


def jump(path):
    """A transport stream of which a while was not received: time stamps of both streams jump by five seconds."""
    ticks, base = kit.steady_ticks(24, 2 * SECONDS)
    later = [tick + (120 if tick * base >= SECONDS else 0) for tick in ticks]
    events = kit.event_times(later, base, 0.6)
    audio = kit.beeps(events, 2 * SECONDS + 5)
    return kit.write_video(
        path, kit.flash_frames(later, base, events), later, base, audio=audio, audio_codec="mp2", rate=Fraction(24)
    )


def spliced(path):
    """Two recordings that change over in one stream before the other: video of the second before audio of the first."""
    plain()(path)
    packets = [path.read_bytes()[at : at + 188] for at in range(0, path.stat().st_size, 188)]
    # Numbers of the streams stand in the second and third byte; the muxer calls video 0x100 and audio 0x101.
    is_audio = [packet[1] & 0x1F == 1 and packet[2] == 1 for packet in packets]
    late = max(place for place, packet in enumerate(packets) if is_audio[place] and packet[1] & 0x40)
    early = is_audio.index(True)
    path.write_bytes(b"".join([*packets[:late], *packets[:early], *packets[late:], *packets[early:]]))


def only_audio(path):
    with av.open(str(path), "w", format="mp4") as file:
        stream = file.add_stream("aac", rate=48_000, layout="mono")
        for packet in kit._audio_packets(stream, kit.beeps([1.0], 3.0), 48_000, "mono", 0.0):
            file.mux(packet)


def huge(path):
    ticks, base = kit.steady_ticks(24, 2 / 24)
    frame = np.zeros((4352, 8192, 3), np.uint8)
    kit.write_video(path, [frame] * 2, ticks, base, codec="mjpeg", pix_fmt="yuvj420p", audio=kit.beeps([], 1.0))


def flipped(content):
    random = np.random.default_rng(3)
    changed = bytearray(content)
    for place in random.integers(len(content) // 3, 2 * len(content) // 3, 40):
        changed[place] ^= 1 << int(random.integers(8))
    return bytes(changed)


def rate_bomb(content):
    """In the header of an AVI's audio: two thousand million samples per second."""
    place = content.index(b"strf", content.index(b"auds"))
    return content[: place + 12] + (2_000_000_000).to_bytes(4, "little") + content[place + 16 :]


AVI = {"codec": "mpeg4", "audio_codec": "pcm_s16le"}
TRIALS = {
    "plain.mp4": Trial(plain()),
    "23.976.mp4": Trial(plain(Fraction(24000, 1001))),
    "25.mkv": Trial(plain(25)),
    "29.97.mp4": Trial(plain(Fraction(30000, 1001))),
    "30.mov": Trial(plain(30)),
    "50.mp4": Trial(plain(50)),
    "59.94.mkv": Trial(plain(Fraction(60000, 1001))),
    "12.mp4": Trial(plain(12), in_step=False),
    "variable.mp4": Trial(uneven()),
    "variable.mkv": Trial(uneven()),
    "no audio.mp4": Trial(mute, "no_audio"),
    "silent.mp4": Trial(with_audio(lambda audio: audio * 0), in_step=False),
    "two languages.mkv": Trial(with_audio(lambda audio: [audio, audio * 0.5])),
    "surround.mkv": Trial(with_audio(lambda audio: np.repeat(audio, 6, axis=0), layout="5.1", audio_codec="flac")),
    "audio late.mkv": Trial(plain(audio_start_s=0.25)),
    "audio early.mkv": Trial(plain(audio_start_s=-0.1, audio_codec="flac")),
    "audio ends early.mp4": Trial(with_audio(lambda audio: audio[:, : 48_000 * 2]), in_step=False),
    "44100.mp4": Trial(plain(sample_rate=44_100)),
    "8000.mkv": Trial(plain(sample_rate=8_000, audio_codec="pcm_s16le"), in_step=False),
    "96000.mkv": Trial(plain(sample_rate=96_000, audio_codec="flac")),
    "rotated 90.mp4": Trial(plain(degrees=90)),
    "rotated 180.mp4": Trial(plain(degrees=180)),
    "rotated 270.mov": Trial(plain(degrees=270)),
    "anamorphic.mp4": Trial(plain(aspect=Fraction(64, 45))),
    "odd size.mkv": Trial(plain(size=(63, 97), pix_fmt="yuv444p")),
    "ten bits.mp4": Trial(plain(pix_fmt="yuv420p10le")),
    "full range.mp4": Trial(plain(pix_fmt="yuvj420p")),
    "transparent.mov": Trial(plain(codec="png", pix_fmt="rgba")),
    "pq.mp4": Trial(
        by_ffmpeg(
            *("-vf", "zscale=tin=709:pin=709:min=709:rin=limited:t=smpte2084:p=2020:m=2020_ncl:r=limited"),
            *("-pix_fmt", "yuv420p10le", "-c:v", "libx265", "-x265-params", "log-level=none", "-c:a", "copy"),
            *("-color_trc", "smpte2084", "-color_primaries", "bt2020", "-colorspace", "bt2020nc"),
        )
    ),
    "hlg.mp4": Trial(
        by_ffmpeg(
            *("-vf", "zscale=tin=709:pin=709:min=709:rin=limited:t=arib-std-b67:p=2020:m=2020_ncl:r=limited"),
            *("-pix_fmt", "yuv420p10le", "-c:v", "libx265", "-x265-params", "log-level=none", "-c:a", "copy"),
            *("-color_trc", "arib-std-b67", "-color_primaries", "bt2020", "-colorspace", "bt2020nc"),
        )
    ),
    "letterbox.mp4": Trial(changed_frames(black(np.r_[0:12, 52:64]))),
    "pillarbox.mp4": Trial(changed_frames(black(slice(None), np.r_[0:34, 62:96]))),
    "interlaced.mpg": Trial(
        by_ffmpeg(
            *("-vf", "interlace", "-c:v", "mpeg2video", "-flags", "+ildct+ilme", "-c:a", "mp2", "-r", "25"), rate=50
        )
    ),
    "black lead-in.mp4": Trial(changed_frames(lead_in), in_step=False),
    "freeze.mp4": Trial(changed_frames(lambda frame, _: frame * 0 + 90), in_step=False),
    "long group.mp4": Trial(plain(gop=1000)),
    "truncated.mp4": Trial(edited(lambda content: content[: len(content) // 2]), "corrupt_media"),
    "truncated fast.mp4": Trial(
        edited(lambda content: content[: len(content) * 2 // 3], plain(options={"movflags": "+faststart"})),
        "corrupt_media",
    ),
    "truncated.mkv": Trial(edited(lambda content: content[: len(content) // 2]), "corrupt_media"),
    "truncated.avi": Trial(edited(lambda content: content[: len(content) // 2], plain(**AVI)), "corrupt_media"),
    "head.mp4": Trial(edited(lambda content: content[:3000]), "corrupt_media"),
    "noise.mp4": Trial(lambda path: path.write_bytes(np.random.default_rng(0).bytes(20_000)), "corrupt_media"),
    "empty.mp4": Trial(lambda path: path.write_bytes(b""), "corrupt_media"),
    "text.mp4": Trial(lambda path: path.write_text("no video\n" * 500), "corrupt_media"),
    "playlist.mp4": Trial(lambda path: path.write_text("#EXTM3U\n#EXTINF:9,\nfile:///etc/passwd\n"), "corrupt_media"),
    "flipped.mp4": Trial(edited(flipped), EITHER, in_step=False),
    "flipped.mkv": Trial(edited(flipped), EITHER, in_step=False),
    "nan.mkv": Trial(
        with_audio(lambda audio: np.where(np.arange(audio.shape[1]) == 70_000, np.nan, audio), audio_codec="pcm_f32le"),
        "corrupt_media",
    ),
    "rate bomb.avi": Trial(edited(rate_bomb, plain(**AVI)), "corrupt_media"),
    "huge.mov": Trial(huge, "corrupt_media"),
    "plain.ts": Trial(plain()),
    "jump.ts": Trial(jump),
    "clock goes back.ts": Trial(joined(plain(), plain()), pieces=2),
    "two sizes.ts": Trial(joined(plain(), plain(size=(96, 64))), pieces=2),
    "three pieces.ts": Trial(joined(plain(), plain(25, audio_codec="mp2"), plain(30)), pieces=3),
    "other numbers.ts": Trial(joined(plain(), plain(options={"mpegts_start_pid": "512"})), pieces=2),
    "spliced.ts": Trial(spliced, pieces=2),
    "overlapping.ts": Trial(
        joined(plain(), by_ffmpeg("-c", "copy", "-output_ts_offset", "1.9", suffix=".ts")), pieces=2
    ),
    "mute and short pieces.ts": Trial(joined(mute, plain(), plain(seconds=1.0)), "left_out"),
    "second not received.ts": Trial(joined(plain(), by_ffmpeg("-c", "copy", "-output_ts_offset", "3.2", suffix=".ts"))),
    "joined.m2ts": Trial(joined(*[plain(options={"mpegts_m2ts_mode": "1"})] * 2), pieces=2),
    "clock wraps.ts": Trial(by_ffmpeg("-c", "copy", "-output_ts_offset", "95441", suffix=".ts", seconds=6.8)),
    "clock starts anew.ts": Trial(
        joined(by_ffmpeg("-c", "copy", "-output_ts_offset", "1000", suffix=".ts"), plain(seconds=4.0))
    ),
    "joined.mpg": Trial(joined(*[plain(25, codec="mpeg1video", audio_codec="mp2")] * 2), pieces=2),
    "plain.avi": Trial(plain(**AVI)),
    "no lengths.mkv": Trial(plain(options={"live": "1"})),
    "pieces.mp4": Trial(plain(options={"movflags": "+frag_keyframe+empty_moov"})),
    "program.mpg": Trial(plain(25, codec="mpeg1video", audio_codec="mp2")),
    "flash.flv": Trial(plain(codec="flv")),
    "plain.webm": Trial(plain(codec="libvpx-vp9", audio_codec="libopus")),
    "plain.wmv": Trial(plain(codec="wmv2", audio_codec="libmp3lame"), in_step=False),
    "edit list.mp4": Trial(by_ffmpeg("-c", "copy", before=("-ss", "0.7"))),
    "-dash ünd «spaces» 'quotes'.mp4": Trial(plain()),
    "short.mp4": Trial(plain(seconds=1.0), "too_short"),
    "only audio.mp4": Trial(only_audio, "no_video"),
}
FAST = (
    *("plain.mp4", "variable.mkv", "no audio.mp4", "audio late.mkv", "rotated 90.mp4", "truncated.mp4", "flipped.mkv"),
    *("nan.mkv", "rate bomb.avi", "jump.ts", "clock goes back.ts", "clock wraps.ts", "no lengths.mkv"),
    "only audio.mp4",
    "-dash ünd «spaces» 'quotes'.mp4",
)


def check(folder: Path, names, out: Path) -> None:
    for name in names:
        TRIALS[name].make(folder / name)
    source = SourceSection(folder=str(folder), keep_free_gib=0.0)
    stage = CutStage(source, CutSection(num_frames=33, width=160, height=96, preset="ultrafast", shots="none"))
    rows = [stage.run(Unit(unit_of_source(record.uri), record), out) for record in list_sources(source)]
    assert [Path(row.source.uri).name for row in rows] == sorted(names)
    problems = [text for row in rows for text in wrong(Path(row.source.uri).name, row, out)]
    assert not problems, "\n".join(problems)


def wrong(name, rows, out):
    """Yield what is not as expected."""
    trial, source = TRIALS[name], rows.source
    reason = source.reasons[0].partition(":")[0] if source.reasons else CLIPS
    if reason not in trial.expected or (reason == CLIPS and not rows.clips):
        yield f"{name}: {source.state} {source.reasons}, {len(rows.clips)} clips"
    told = {mark for clip in rows.clips for mark in clip.marks if mark.startswith("piece: ")}
    if trial.pieces > 1 and told != {f"piece: {number + 1} of {trial.pieces}" for number in range(trial.pieces)}:
        yield f"{name}: {told}"
    for one, other in pairwise(rows.clips):
        if other.start_s < one.start_s + 33 / 24 - 1e-9:
            yield f"{name}: {one.start_s:.3f} and {other.start_s:.3f} overlap"
    for clip in rows.clips:
        if clip.state is not State.KEPT:
            if trial.expected != EITHER:
                yield f"{name} at {clip.start_s:.3f}: {clip.reasons}"
            continue
        product = read_clip(out / clip.path)
        if product.frames.shape[0] != 33 or product.waveform.shape[1] != 66_000:
            yield f"{name} at {clip.start_s:.3f}: {product.frames.shape} {product.waveform.shape}"
        if trial.in_step:
            yield from out_of_step(f"{name} at {clip.start_s:.3f}", out / clip.path)


def out_of_step(name, path):
    flashes, heard = ([time for time in times if 0.1 < time < 1.27] for times in kit.seen_and_heard(path))
    if not flashes or len(flashes) != len(heard):
        yield f"{name}: flashes {flashes}, beeps {heard}"
        return
    for place in (0, -1):
        if abs(flashes[place] - heard[place]) >= HALF_A_FRAME_S + 1e-6:
            yield f"{name}: flash {flashes[place]:.4f}, beep {heard[place]:.4f}"


def test_some_footage_of_every_kind_ends_as_it_should(tmp_path):
    (tmp_path / "films").mkdir()
    check(tmp_path / "films", FAST, tmp_path / "out")


@pytest.mark.slow
def test_all_footage_of_every_kind_ends_as_it_should(tmp_path):
    assert len(TRIALS) >= 45
    (tmp_path / "films").mkdir()
    check(tmp_path / "films", TRIALS, tmp_path / "out")


def test_a_link_that_leads_out_of_the_folder_is_refused(tmp_path):
    (tmp_path / "films").mkdir()
    plain()(tmp_path / "elsewhere.mp4")
    (tmp_path / "films" / "link.mp4").symlink_to(tmp_path / "elsewhere.mp4")
    (record,) = list_sources(SourceSection(folder=str(tmp_path / "films")))
    assert record.reasons[0].startswith("leads_out: ")
