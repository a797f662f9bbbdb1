"""Weights and inputs made from names, so that records need not store them.

Every number is drawn from a PCG64 generator seeded by the first 8 bytes
(little endian) of the SHA-256 of a name. The rule looks only at the name,
the shape and the dtype of a tensor, never at the module that owns it.

Rule for a floating-point tensor called ``name`` (``last`` = the part behind
its last dot), applied from the top:

=============================================  =================================
tensor                                         value
=============================================  =================================
``last == "running_var"``                      uniform in [0.5, 1.5)
``last == "running_mean"`` or ends in "bias"   0.1 * normal
no axis (a scalar)                             1 + 0.1 * normal
one axis, ``last`` ends in "weight" or is
one of gamma, weight_g                         gain * (1 + 0.1 * normal)
one axis, anything else                        0.3 * gain * normal
two axes or more, ``last`` ends in "weight"
or "weight_v"                                  gain * normal / sqrt(fan_in)
two axes or more, anything else (class
tokens, position tables)                       0.3 * gain * normal
=============================================  =================================

``fan_in`` is the product of all axes but the first. ``gain`` is 1 unless the
record gives another for a prefix of the name; the longest prefix wins.
Integer and boolean tensors, and the names below a ``keep`` prefix, stay as the
constructor made them. All draws are float32 and in C order.
"""

import hashlib
import math

import numpy as np

CHECK_NAMES = {"block.0.weight": (4, 3, 2), "block.0.bias": (4,), "norm.running_var": (4,)}
"""Names and shapes whose values ``self_check`` compares with stored numbers."""

CHECK_SUMS = {
    "block.0.weight": 1.368382633663714,
    "block.0.bias": -0.5228537556249648,
    "norm.running_var": 4.420205652713776,
}


def generator(name):
    """The generator that belongs to ``name``."""
    seed = int.from_bytes(hashlib.sha256(name.encode("utf-8")).digest()[:8], "little")
    return np.random.Generator(np.random.PCG64(seed))


def normal(name, shape):
    """Standard normal numbers, float32."""
    return generator(name).standard_normal(size=tuple(shape), dtype=np.float32)


def uniform(name, shape, low=0.0, high=1.0):
    """Uniform numbers in [low, high), float32."""
    draw = generator(name).random(size=tuple(shape), dtype=np.float32)
    return (np.float32(low) + np.float32(high - low) * draw).astype(np.float32)


def image(name, frames, height, width, grid=6):
    """Moving colour patches as uint8 ``[frames, height, width, 3]``.

    A coarse random pattern, enlarged by repetition, rolls by two pixels per
    frame; a little noise is added. Integer arithmetic only.
    """
    coarse = generator(name + "/coarse").integers(0, 224, size=(grid, grid, 3))
    rows = np.arange(height) * grid // height
    columns = np.arange(width) * grid // width
    still = coarse[rows][:, columns]
    noise = generator(name + "/noise").integers(0, 32, size=(frames, height, width, 3))
    rolled = np.stack([np.roll(still, (t, 2 * t), axis=(0, 1)) for t in range(frames)])
    return (rolled + noise).astype(np.uint8)


def waveform(name, samples, rate):
    """A test sound as int16 ``[samples]``: tones, clicks and noise.

    Five tones of random pitch (80 Hz to 0.4 of the rate), each switched on in
    a random part of the sound, a click every 0.37 s, and white noise.
    """
    draw = generator(name)
    time = np.arange(samples) / rate
    sound = 0.02 * draw.standard_normal(samples)
    for pitch, start, length, phase in draw.random((5, 4)):
        hertz = 80.0 * (0.4 * rate / 80.0) ** pitch
        begin = start * 0.7 * samples / rate
        gate = (time >= begin) & (time < begin + 0.3 + length)
        sound += 0.12 * gate * np.sin(2 * np.pi * (hertz * time + phase))
    for click in range(int(samples / rate / 0.37) + 1):
        at = int(click * 0.37 * rate)
        tail = min(samples - at, int(0.02 * rate))
        if tail > 0:
            sound[at : at + tail] += 0.3 * np.exp(-np.arange(tail) / (0.004 * rate)) * draw.standard_normal(tail)
    return np.clip(np.round(sound * 32767), -32768, 32767).astype(np.int16)


def hits(name, frames, height, width, events):
    """A patch that jumps at given frames, as uint8 ``[frames, height, width, 3]``.

    A textured background stands still. A textured square (a third of the
    height) moves right by 3 pixels and down by 2 on every frame in ``events``
    and by 1 pixel right on the frame before; it wraps at the edges.
    """
    draw = generator(name)
    block = 4
    coarse = draw.integers(0, 160, size=(height // block + 1, width // block + 1, 3))
    background = coarse.repeat(block, axis=0).repeat(block, axis=1)[:height, :width]
    side = height // 3
    patch = draw.integers(96, 256, size=(side // block + 1, side // block + 1, 3))
    patch = patch.repeat(block, axis=0).repeat(block, axis=1)[:side, :side]
    x, y, out = width // 8, height // 8, []
    for frame in range(frames):
        x += 3 * (frame in events) + (frame + 1 in events)
        y += 2 * (frame in events)
        picture = background.copy()
        rows = (y + np.arange(side)) % height
        columns = (x + np.arange(side)) % width
        picture[np.ix_(rows, columns)] = patch
        out.append(picture)
    return np.stack(out).astype(np.uint8)


def clicks(name, samples, rate, times):
    """Short decaying noise bursts at ``times`` (seconds) over faint noise, float32 mono."""
    draw = generator(name)
    sound = 0.001 * draw.standard_normal(samples)
    for moment in times:
        at = round(moment * rate)
        tail = min(samples - at, int(0.08 * rate))
        if tail > 0:
            sound[at : at + tail] += 0.5 * np.exp(-np.arange(tail) / (0.015 * rate)) * draw.standard_normal(tail)
    return np.clip(sound, -1, 1).astype(np.float32)


def voice(name, samples, rate):
    """A buzz with moving pitch and syllable-like loudness, int16 mono: makes a speech model react."""
    draw = generator(name)
    time = np.arange(samples) / rate
    pitch = 130 + 30 * np.sin(2 * np.pi * 0.7 * time) + 10 * np.sin(2 * np.pi * 2.3 * time)
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    loud = np.clip(np.sin(2 * np.pi * 3.1 * time + draw.random() * 6), 0, 1) ** 0.5
    sound = sum(np.sin(k * phase) / k * (1 + 2 * np.exp(-(((k * 130 - 600) / 300) ** 2))) for k in range(1, 25))
    sound = 0.12 * loud * sound + 0.003 * draw.standard_normal(samples)
    return np.clip(np.round(sound * 32767), -32768, 32767).astype(np.int16)


def gain_for(name, gains):
    """The gain of the longest prefix in ``gains`` that ``name`` starts with."""
    found = [prefix for prefix in gains if name.startswith(prefix)]
    return gains[max(found, key=len)] if found else 1.0


def value(name, shape, gain=1.0):
    """The float32 array that the rule gives to a floating-point tensor."""
    last = name.rsplit(".", 1)[-1]
    shape = tuple(shape)
    if last == "running_var":
        return uniform(name, shape, 0.5, 1.5)
    draw = normal(name, shape)
    if last == "running_mean" or last.endswith("bias"):
        return np.float32(0.1) * draw
    if not shape:
        return np.float32(1.0) + np.float32(0.1) * draw
    if len(shape) == 1:
        if last.endswith("weight") or last in ("gamma", "weight_g"):
            return np.float32(gain) * (np.float32(1.0) + np.float32(0.1) * draw)
        return np.float32(0.3 * gain) * draw
    if last.endswith("weight") or last == "weight_v":
        return np.float32(gain / math.sqrt(math.prod(shape[1:]))) * draw
    return np.float32(0.3 * gain) * draw


def fill(named_tensors, gains=None, keep=()):
    """Fill torch tensors in place by the rule and return the names filled.

    Args:
        named_tensors: Mapping or pairs of name and tensor, for example
            ``module.state_dict()``. Names must be those of the published
            state dict.
        gains: Prefix of a name to gain.
        keep: Prefixes of names that are left as they are.
    """
    import torch

    pairs = named_tensors.items() if hasattr(named_tensors, "items") else named_tensors
    filled = []
    with torch.no_grad():
        for name, tensor in pairs:
            if not tensor.is_floating_point() or name.startswith(tuple(keep)):
                continue
            drawn = value(name, tensor.shape, gain_for(name, gains or {}))
            tensor.copy_(torch.from_numpy(np.asarray(drawn)))
            filled.append(name)
    return filled


def self_check():
    """Raise AssertionError if this numpy draws other numbers than the records used."""
    for name, shape in CHECK_NAMES.items():
        total = float(np.float64(value(name, shape)).sum())
        assert abs(total - CHECK_SUMS[name]) < 1e-6, (name, total)


if __name__ == "__main__":
    self_check()
