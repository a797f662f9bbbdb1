"""Mutated copies of a small model, GGUF files and safetensors files, and a process that tries each of them.

    python hostile_models.py KIND BASE FOLDER FIRST COUNT

tries COUNT cases from number FIRST on and prints a line of JSON for each: its number, what was changed, what came of
it. A case is made from its number alone.
"""

import contextlib
import json
import os
import random
import shutil
import signal
import struct
import sys
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "shared"))
from peak_memory import peak_bytes

SECRET = b"-----BEGIN PRIVATE KEY-----"
CPU_SECONDS = 20
WALL_SECONDS = 120  # only for what waits and computes nothing
MOST_BYTES = 2 * 2**30
VALUES = [
    None,
    True,
    -1,
    0,
    1,
    7,
    10**9,
    10**30,
    1.5,
    -0.0,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "x",
    "12",
    "/etc/passwd",
    "../victim",
    "x" * 100_000,
    "\ud800",
    "\x00",
    [],
    [None],
    [1] * 10_000,
    [[[[]]]],
    {},
    {"a": {"b": None}},
    {"quant_method": "int8"},
]


class TooSlow(BaseException):
    """A case did not answer."""


# ---- mutations ---------------------------------------------------------------------------------------------------


def own(path):
    """Make a file that may be shared with the base one's own."""
    if not path.is_file():
        raise OSError(f"{path} is a pipe or a folder by now")
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)
    return bytearray(content)


def places(value, path=()):
    """All places in a JSON value."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


def change_value(value, draw):
    path = draw.choice(list(places(value))[:200])
    new = draw.choice(VALUES)
    if not path:
        return new, f"all = {repr(new)[:40]}"
    parent = value
    for key in path[:-1]:
        parent = parent[key]
    how = draw.randrange(4)
    if how == 0 and isinstance(parent, dict):
        del parent[path[-1]]
        return value, f"without {path}"
    if how == 1 and isinstance(parent, dict):
        key = draw.choice(
            ["x", "attn_implementation", "auto_map", "self", "config", "dtype", "_class_name", "../x", ""]
        )
        parent[key] = new
        return value, f"{path[:-1]} + {key} = {repr(new)[:40]}"
    if how == 2 and isinstance(parent[path[-1]], (int, float)):
        new = parent[path[-1]] * draw.choice([-1, 2, 3, 1000, 10**9, 0.5])
    parent[path[-1]] = new
    return value, f"{path} = {repr(new)[:40]}"


def mutate_json(folder, draw):
    file = draw.choice(sorted(folder.rglob("*.json")))
    own(file)
    value, what = change_value(json.loads(file.read_text()), draw)
    file.write_text(json.dumps(value))
    return f"{file.relative_to(folder)}: {what}"


def mutate_text(folder, draw):
    file = draw.choice(sorted(folder.rglob("*.json")))
    content = own(file)
    how = draw.randrange(8)
    if how == 0:
        content = content[: draw.randrange(len(content))]
    elif how == 1:
        for _ in range(draw.choice([1, 10])):
            content[draw.randrange(len(content))] = draw.randrange(256)
    elif how == 2:
        content = b'{"a":' * 200_000
    elif how == 3:
        content = b'{"dim": ' + b"9" * 10_000 + b"}"
    elif how == 4:
        content = b"\xef\xbb\xbf" + content
    elif how == 5:
        content = content.decode().encode("utf-16")
    elif how == 6:
        content = b""
    else:
        content = bytes(draw.randrange(256) for _ in range(200))
    file.write_bytes(content)
    return f"{file.relative_to(folder)}: text {how}"


def mutate_files(folder, draw):
    file = draw.choice(sorted(path for path in folder.rglob("*") if path.is_file()))
    name, how = str(file.relative_to(folder)), draw.randrange(12)
    if how == 0:
        file.unlink()
    elif how == 1:
        file.rename(file.with_name(f"x{file.name}"))
    elif how == 2:
        other = draw.choice(sorted(path for path in folder.rglob("*") if path.is_file() and path != file))
        content = other.read_bytes()
        file.unlink()
        file.write_bytes(content)
    elif how == 3:
        file.unlink()
        file.mkdir()
    elif how == 4:
        file.unlink()
        os.mkfifo(file)
    elif how == 5:
        file.unlink()
        file.symlink_to(folder.parent / "secret")
    elif how == 6:
        file.unlink()
        file.symlink_to(draw.choice([file.name, "nowhere", "/dev/zero", "..", "/"]))
    elif how == 7:
        (file.parent / draw.choice(["._" + file.name, "x.fp16.safetensors", "model.safetensors", "x.py"])).write_bytes(
            b"1"
        )
    elif how == 8 and file.parent != folder:
        shutil.rmtree(file.parent)
    elif how == 9 and file.parent != folder:
        shutil.rmtree(file.parent)
        file.parent.symlink_to(folder.parent)
    elif how == 10:
        file.unlink()
        file.write_bytes(b"")
    else:
        (folder / "README.md").symlink_to(folder.parent / "secret")
    return f"{name}: file {how}"


def mutate_index(folder, draw):
    part = draw.choice(sorted(file.parent for file in folder.rglob("*.safetensors")))
    names = ["diffusion_pytorch_model.safetensors", "../x", "/etc/passwd", "", 3, None, "absent.safetensors"]
    keys = ["a", "blocks.0.norm3.weight", "x" * 1000, ""]
    weight_map = {draw.choice(keys): draw.choice(names) for _ in range(3)}
    value = draw.choice([{"weight_map": weight_map}, {"weight_map": 3}, {}, [], {"weight_map": {}}])
    stem = "model" if (part / "model.safetensors").exists() else "diffusion_pytorch_model"
    (part / f"{stem}.safetensors.index.json").write_text(json.dumps(value))
    return f"{part.name}: index {json.dumps(value)[:100]}"


def mutate_header(content, draw):
    """Change a safetensors file."""
    size = struct.unpack("<Q", content[:8])[0]
    how = draw.randrange(7)
    if how == 0:
        return content[: draw.randrange(len(content))], "cut"
    if how == 1:
        return struct.pack("<Q", draw.choice([0, 1, 2**25, 2**40, 2**63, 2**64 - 1, size + 1])) + content[8:], "size"
    if how == 2:
        for _ in range(draw.choice([1, 5])):
            content[draw.randrange(8 + size)] ^= 1 << draw.randrange(8)
        return content, "bits of the header"
    if how == 3:
        content[draw.randrange(8 + size, len(content))] ^= 1 << draw.randrange(8)
        return content, "bits of the data"
    header = json.loads(content[8 : 8 + size])
    if how == 4:
        entry = header[draw.choice([key for key in header if key != "__metadata__"])]
        key = draw.choice(["shape", "dtype", "data_offsets"])
        choices = {
            "shape": [[], [0], [2**63], [-1], [1, 2, 3, 4], [10**30], "x"],
            "dtype": ["F64", "F16", "I64", "BOOL", "F8_E4M3", "C64", "X", 3],
            "data_offsets": [[0, 0], [0, 10**12], [5, 1], [-1, 4], [0, 4], "x"],
        }
        entry[key] = draw.choice(choices[key])
        what = f"{key} = {entry[key]}"
    elif how == 5:
        header[draw.choice(["x", "", "../x", "a" * 10_000, "__metadata__"])] = draw.choice(VALUES)
        what = "another key"
    else:
        header, what = change_value(header, draw)
    text = json.dumps(header).encode(errors="replace")
    return struct.pack("<Q", len(text)) + text + content[8 + size :], what


def mutate_weights(folder, draw):
    file = draw.choice(sorted(folder.rglob("*.safetensors")))
    content, what = mutate_header(own(file), draw)
    file.write_bytes(content)
    return f"{file.relative_to(folder)}: {what}"


def mutate_model(folder, draw):
    kinds = [mutate_json] * 5 + [mutate_text, mutate_files, mutate_files, mutate_index, mutate_weights, mutate_weights]
    done = []
    for _ in range(draw.choice([1, 1, 1, 2, 3])):
        with contextlib.suppress(IndexError, ValueError, OSError, struct.error):  # what another one left no place
            done.append(draw.choice(kinds)(folder, draw))
    return "; ".join(done)


def mutate_bytes(content, draw):
    """Change any file: cut, bits, numbers."""
    how = draw.randrange(4)
    if how == 0:
        return content[: draw.randrange(len(content))], "cut"
    place = draw.randrange(min(len(content), 2000))
    if how == 1:
        content[place] ^= 1 << draw.randrange(8)
        return content, f"bit at {place}"
    if how == 2:
        content[place : place + 8] = struct.pack("<Q", draw.choice([0, 1, 2**16, 2**31, 2**62, 2**64 - 1]))
        return content, f"number at {place}"
    for _ in range(20):
        content[draw.randrange(min(len(content), 2000))] = draw.randrange(256)
    return content, "20 bytes"


# ---- uses --------------------------------------------------------------------------------------------------------


def use_model(folder, draw):
    from mova.pipeline.load import load_pipeline
    from mova.weights.dims import dims_from_directory
    from mova.weights.fingerprint import weights_hash
    from mova.weights.rewrite import convert_weights, inspect_weights, verify_weights

    def convert(model):
        target = folder.parent / f"{folder.name}_new"
        try:
            convert_weights(model, target, dtype=draw.choice([None, "bf16"]))
            assert not any(path.is_symlink() for path in target.rglob("*")), "a link was copied"
            assert not any(SECRET in path.read_bytes() for path in target.rglob("*") if path.is_file()), "a secret left"
        finally:
            shutil.rmtree(target, ignore_errors=True)
            left = [path.name for path in folder.parent.iterdir() if path.name.startswith(f".{target.name}")]
            assert not left, f"left behind: {left}"

    def make_clip(model):
        pipeline = load_pipeline(model)
        pipeline.set_progress_bar_config(disable=True)
        pipeline(
            "a dog",
            height=32,
            width=32,
            num_frames=5,
            num_inference_steps=1,
            guidance_scale=1.0,
            seed=0,
            output_type="pt",
        )

    uses = [inspect_weights, verify_weights, dims_from_directory, weights_hash]
    uses.append(draw.choice([load_pipeline, convert, make_clip]))
    return [(getattr(use, "__name__", str(use)), lambda use=use: use(folder)) for use in uses]


def use_gguf(file, draw):
    from mova.weights.gguf.file import GgufFile

    def read_all():
        stored = GgufFile(file)
        for name in stored.tensors:
            stored.read(name)

    return [("read", read_all)]


def use_safetensors(file, draw):
    from mova.settings.few_steps import read_recommended
    from mova.weights.rewrite import inspect_weights

    return [("inspect", lambda: inspect_weights(file)), ("recommended", lambda: read_recommended(file))]


def make_case(kind, base, folder, number):
    """Return the path of a case, what was changed, and its uses."""
    draw = random.Random(f"{kind} {number}")
    path = folder / f"case{number}"
    if kind == "model":
        shutil.copytree(base, path, copy_function=os.link)
        return path, mutate_model(path, draw), use_model(path, draw)
    content = bytearray(base.read_bytes())
    content, what = (mutate_header if kind == "safetensors" and draw.random() < 0.7 else mutate_bytes)(content, draw)
    path = path.with_suffix(base.suffix)
    path.write_bytes(content)
    return path, what, (use_gguf if kind == "gguf" else use_safetensors)(path, draw)


def outcome(use):
    """Say what came of a use: "done", "refused" or what went wrong."""
    from mova.errors import MovaError

    try:
        use()
    except MovaError as error:
        if error.exit_code != 2:
            return f"exit code {error.exit_code}: {error}"[:2000]
        return "refused" if len(str(error)) < 3000 else f"a text of {len(str(error))} characters"
    except TooSlow:
        return "no answer: " + traceback.format_exc()[-1500:]
    except BaseException:
        return traceback.format_exc()[-3000:]
    return "done"


def main():
    import warnings

    warnings.simplefilter("ignore")
    kind, base, folder, first, count = sys.argv[1], *map(Path, sys.argv[2:4]), *map(int, sys.argv[4:6])

    def give_up(*_):
        raise TooSlow

    signal.signal(signal.SIGPROF, give_up)
    signal.signal(signal.SIGALRM, give_up)
    (folder / "secret").write_bytes(SECRET)
    for number in range(first, first + count):
        path, what, uses = make_case(kind, base, folder, number)
        found = {}
        for name, use in uses:
            signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
            signal.setitimer(signal.ITIMER_REAL, WALL_SECONDS)
            found[name] = outcome(use)
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.setitimer(signal.ITIMER_REAL, 0)
        peak = peak_bytes()
        if peak > MOST_BYTES:
            found["memory"] = f"{peak:,} bytes"
        sys.stdout.write(json.dumps({"case": number, "what": what, "found": found}) + "\n")
        sys.stdout.flush()
        shutil.rmtree(path, ignore_errors=True)
        if kind != "model":
            path.unlink()


if __name__ == "__main__":
    main()
