"""Damaged media files of every kind: read or refused with a `MovaError`, within bounds of time and memory.

MOVA_FUZZ_COUNT sets how many files each reader gets, MOVA_FUZZ_SEED where they begin.
"""

import os
import subprocess
import sys
from collections import Counter
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image, ImageCms

WORKER = Path(__file__).with_name("media_worker.py")
COUNT = int(os.environ.get("MOVA_FUZZ_COUNT", "100"))
SEED = int(os.environ.get("MOVA_FUZZ_SEED", "17"))
MOST_MEBIBYTES = 2048
VIDEOS = {
    "plain.mp4": ("libx264", "aac", {}),
    "fast.mp4": ("libx264", "aac", {"movflags": "+faststart"}),
    "pieces.mp4": ("libx264", "aac", {"movflags": "+frag_keyframe+empty_moov"}),
    "clip.mov": ("mjpeg", "pcm_f32le", {}),
    "images.mov": ("png", "pcm_s16le", {}),
    "clip.mkv": ("libx264", "flac", {}),
    "lossless.mkv": ("ffv1", "pcm_f64le", {}),
    "clip.webm": ("libvpx-vp9", "libopus", {}),
    "live.webm": ("libvpx", "libopus", {"live": "1"}),
    "clip.avi": ("mpeg4", "pcm_s16le", {}),
    "clip.flv": ("flv", "aac", {}),
    "clip.ts": ("mpeg2video", "mp2", {}),
    "clip.mpg": ("mpeg1video", "mp2", {}),
}
AUDIOS = {
    "float.wav": "pcm_f32le",
    "clip.wav": "pcm_s16le",
    "clip.mp3": "libmp3lame",
    "clip.flac": "flac",
    "clip.ogg": "flac",
    "opus.ogg": "libopus",
    "clip.m4a": "aac",
    "clip.aac": "aac",
    "clip.mka": "libopus",
    "clip.aiff": "pcm_s16be",
    "clip.caf": "pcm_f32be",
    "clip.w64": "pcm_s24le",
}


def make_media(path, video_codec, audio_codec, options):
    """Write 1.5 s of noise at 64x48 with a tone."""
    random = np.random.default_rng(0)
    with av.open(str(path), "w", options=options) as container:
        audio = container.add_stream(audio_codec, rate=48_000, layout="mono")
        streams = []
        if video_codec:
            video = container.add_stream(video_codec, rate=24)
            video.width, video.height = 64, 48
            formats = {"mjpeg": "yuvj420p", "png": "rgb24"}
            video.pix_fmt = formats.get(video_codec, "yuv420p")
            video.codec_context.gop_size = 8
            frames = []
            for index in range(36):
                picture = random.integers(0, 40, (48, 64, 3)).astype(np.uint8)
                picture[:, index : index + 20] = 200
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=video.pix_fmt)
                frame.pts, frame.time_base = index, Fraction(1, 24)
                frames.append(frame)
            streams.append((video, frames))
        streams.append((audio, list(tone(audio))))
        packets = [packet for stream, frames in streams for frame in (*frames, None) for packet in stream.encode(frame)]
        for packet in sorted(packets, key=lambda packet: (packet.dts or 0) * packet.time_base):
            container.mux(packet)


def tone(stream):
    kind = stream.codec_context.format.name
    for first in range(0, 72_000, 960):
        values = 0.4 * np.sin((first + np.arange(960)) / 20)[None]
        dtype = {"s16": np.int16, "s32": np.int32, "flt": np.float32, "dbl": np.float64}[kind.removesuffix("p")]
        if np.issubdtype(dtype, np.integer):
            values = values * np.iinfo(dtype).max
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(values.astype(dtype)), format=kind, layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, first, Fraction(1, 48_000)
        yield frame


def make_images(folder):
    """Write images of every admitted format and of many modes."""
    random = np.random.default_rng(0)
    rgb = Image.fromarray(random.integers(0, 256, (48, 64, 3), dtype=np.uint8))
    rgba = Image.fromarray(random.integers(0, 256, (48, 64, 4), dtype=np.uint8))
    grey, deep = rgb.convert("L"), Image.fromarray(random.integers(0, 65_535, (48, 64), dtype=np.uint16))
    exif = Image.Exif()
    exif[0x0112] = 6
    rgb.save(folder / "a.png", exif=exif)
    rgba.save(folder / "b.png")
    deep.save(folder / "c.png", transparency=7)
    rgb.convert("P").save(folder / "d.png", transparency=3)
    grey.save(folder / "moving.png", save_all=True, append_images=[grey.rotate(90, expand=False)])
    rgb.save(folder / "a.jpg", exif=exif)
    rgb.convert("CMYK").save(folder / "b.jpg")
    rgb.save(folder / "c.jpg", progressive=True, icc_profile=rgb_profile())
    rgba.save(folder / "a.webp")
    rgb.save(folder / "b.webp", lossless=True, save_all=True, append_images=[rgb.rotate(180)])
    rgb.save(folder / "a.tiff", compression="tiff_lzw")
    Image.fromarray(random.random((48, 64), dtype=np.float32)).save(folder / "b.tiff", compression="tiff_adobe_deflate")
    deep.save(folder / "c.tiff")
    rgb.convert("P").save(folder / "a.gif", save_all=True, append_images=[rgb.convert("P")])
    rgb.save(folder / "a.bmp")
    rgb.save(folder / "a.ppm")
    if "AVIF" in Image.SAVE:
        rgb.save(folder / "a.avif")


def rgb_profile():
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    folder = tmp_path_factory.mktemp("originals")
    for reader in ("video", "audio", "image"):
        (folder / reader).mkdir()
    for name, arguments in VIDEOS.items():
        make_media(folder / "video" / name, *arguments)
    (folder / "video" / "joined.ts").write_bytes((folder / "video" / "clip.ts").read_bytes() * 2)
    for name, codec in AUDIOS.items():
        make_media(folder / "audio" / name, None, codec, {})
    make_images(folder / "image")
    return folder


def read_all(reader, folder, first, end):
    """Return (outcomes by name, what failed); a process that ends early is started again behind its file."""
    outcomes, failures = Counter(), []
    while first < end:
        command = [sys.executable, str(WORKER), reader, str(folder), str(SEED), str(first), str(end)]
        # Fewer arenas of the allocator: its reserves count as address space.
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "MALLOC_ARENA_MAX": "2"})
        current = ""
        for line in done.stdout.splitlines():
            word, _, rest = line.partition(" ")
            if word == "begin":
                current, first = rest, int(rest.split()[0]) + 1
            elif word == "peak":
                if int(rest) > MOST_MEBIBYTES:
                    failures.append(f"{rest} MiB")
            else:
                outcomes[word] += 1
                if word == "failed":
                    failures.append(f"{current}: {rest}")
        if done.returncode:
            failures.append(f"{current}: process ended with {done.returncode}: {done.stderr[-500:]}")
            if not current:
                break
    return outcomes, failures


@pytest.mark.timeout(600)
@pytest.mark.parametrize("reader", ["video", "audio", "image", "footage"])
def test_damaged_files_are_read_or_refused(originals, reader):
    outcomes, failures = read_all(reader, originals, 0, COUNT)
    assert not failures, "\n".join(failures)
    assert outcomes["read"] + outcomes["refused"] == COUNT
    if COUNT >= 50:
        assert outcomes["read"] > 0, "nothing survives: the mutations are too coarse to reach the decoders"
        assert outcomes["refused"] > 0


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("reader", ["video", "audio", "image", "footage"])
def test_many_more_damaged_files_are_read_or_refused(originals, reader):
    _, failures = read_all(reader, originals, 1_000_000, 1_000_000 + max(COUNT, 500))
    assert not failures, "\n".join(failures)
