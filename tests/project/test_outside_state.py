"""State is not set from outside: who owns an attribute sets it, in a constructor or a method."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "src" / "mova"

# Pattern of a file, pattern of what is set, and why it is set there.
ALLOWED = (
    ("*", "*ctx.*", "torch hands a context to both passes of an autograd function, to keep things on"),
    ("*", "*.data", "offload and casts exchange the memory of a tensor, which stays the same parameter"),
    ("*", "*.grad", "a fake tensor is measured with a gradient beside it"),
    ("media/*", "*", "PyAV's streams, contexts and frames are set up by their attributes"),
    ("cli/terminal/streams.py", "sys.*", "the streams of the process are Python's"),
    ("curate/executors/ray.py", "units.context.*", "Ray Data is told by attributes of a data set how it works"),
    ("data/sources/shards.py", "member.size", "tarfile takes the size of a member so"),
    ("endpoints/wire.py", "response.stream", "httpx lets a hook put a body that ends at a bound in place of its own"),
    ("files/json_file.py", "_REPR.*", "reprlib is configured by its attributes"),
    ("former_paths.py", "*", "stand-ins for old modules are modules with attributes"),
    ("kernels/cpu_linear.py", "*", "the forward of one layer is replaced (decision 0001)"),
    ("kernels/cpu_conv.py", "module._conv_forward", "the convolution of one layer is replaced (decision 0001)"),
    ("models/audio_vae.py", "module.padding", "a convolution that is called in parts pads less"),
    ("scorers/onnx.py", "options.*", "onnxruntime is told by attributes how a session computes"),
    ("scorers/spectrum.py", "numba.config.CACHE_DIR", "numba is told so where it keeps what it compiles"),
    ("train/build/adapters.py", "layer.*", "PEFT's layers are switched by their attributes"),
    ("train/stages/encoders/audio_autoencoder.py", "outward.*", "a new layer begins with chosen weights"),
    ("train/plan/allocations.py", "*.atexit", "a finaliser is told so to be left out when Python ends"),
    ("train/loop/state_index.py", "*", "what is read without pickle is put into torch's records"),
    ("weights/quantize/layers.py", "layer.method", "a stored layer is told how it computes while it is loaded"),
    ("kernels/text_cache.py", "setattr(*)", "two methods are replaced while a cache is applied (decision 0001)"),
    ("kernels/compile.py", "setattr(block*)", "the forward of one block is replaced (decision 0001)"),
    ("distributed/context_parallel.py", "setattr(attention*)", "the processor of one attention is replaced"),
    ("weights/quantize/layers.py", "setattr(*)", "a layer is replaced by its quantised form"),
    # Records of one file's own, which have no behaviour.
    ("distributed/context_parallel.py", "processor.lengths", "a hook tells its own processor before each call"),
    ("offload/streaming.py", "*", "slots, pools and blocks are records of the streamer"),
    ("offload/residency.py", "one.*", "where each tensor is stored is a record of those weights"),
    ("pipeline/loop/step_cache.py", "now.*", "what is kept of a kind of call is a record of the cache"),
    ("pipeline/sharing.py", "self._state.recommended", "the state that pipelines share is their record"),
)


def assigned(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Give line and text of each attribute of another object than self or cls that is assigned to, or set by name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "setattr" and ast.unparse(node.args[0]) != "self":
            yield node.lineno, ast.unparse(node)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            owner = node.value
            if not (isinstance(owner, ast.Name) and owner.id in ("self", "cls")):
                yield node.lineno, ast.unparse(node)


def test_the_scan_finds_what_it_is_for():
    source = "\n".join(
        (
            "setattr(l, 'm', 1)",
            "self.a = other.b = 1",
            "for x.c in y: pass",
            "d.e += 1",
            "with f() as g.h: pass",
            "self.i.j, cls.k = 1, 2",
        )
    )
    assert [text for _, text in assigned(ast.parse(source))] == [
        "setattr(l, 'm', 1)",
        "other.b",
        "x.c",
        "d.e",
        "g.h",
        "self.i.j",
    ]


def test_attributes_of_others_are_set_in_a_few_places_only():
    used, found = set(), []
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        for line, text in assigned(ast.parse(path.read_text())):
            rules = [rule for rule in ALLOWED if fnmatchcase(name, rule[0]) and fnmatchcase(text, rule[1])]
            used.update(rules)
            if not rules:
                found.append(f"{name}:{line} sets {text}")
    assert found == [], "give the owner a constructor argument or a method, or a line in ALLOWED with its reason"
    assert [rule for rule in ALLOWED if rule not in used] == []
