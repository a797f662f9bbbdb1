"""Words: who searches the code for what the field calls a thing finds its file, and words made at home stay away."""

import re
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "src" / "mova"
# A table of what things were called.
HISTORY = PACKAGE / "former_paths.py"

# The field's word, as one would type it into a search, and files in which it leads to the thing.
FOUND = {
    "CFG": ("diffusion/guidance.py",),
    "classifier-free guidance": ("diffusion/guidance.py", "plan/cost.py", "cli/generate.py"),
    "cross-modal": ("diffusion/guidance.py", "train/steps/dependence.py"),
    "KV cache": ("kernels/text_cache.py",),
    "K/V cache": ("kernels/text_cache.py", "plan/memory.py"),
    "broadcast": ("distributed/mesh.py",),
    "all_reduce": ("distributed/mesh.py", "distributed/fsdp.py", "distributed/collectives.py"),
    "all-gather": ("distributed/collectives.py",),
    "all-to-all": ("distributed/collectives.py",),
    "data parallel": ("distributed/mesh.py", "distributed/fsdp.py", "train/config/run.py"),
    "context parallel": ("distributed/context_parallel.py", "train/config/run.py"),
    "sharded initialisation": ("distributed/sharded_init.py",),
    "rendezvous": ("distributed/launch.py",),
    "gradient accumulation": ("train/config/run.py", "train/loop/trainer.py", "train/stages/latent_stage.py"),
    "mixed precision": ("train/config/run.py", "device.py"),
    "EMA": ("train/config/run.py",),
    "activation checkpointing": ("offload/activations.py", "train/config/run.py"),
    "gradient checkpointing": ("offload/activations.py",),
    "activation offload": ("offload/activations.py", "train/config/run.py"),
    "prefetch": ("offload/streaming.py", "offload/stores.py"),
    "onload": ("offload/placement.py", "offload/residency.py", "offload/streaming.py"),
    "backing store": ("offload/stores.py", "offload/residency.py"),
    "fake tensors": ("train/plan/unit_memory.py",),
    "speed preset": ("settings/speed.py",),
}

# What stands for the field's word of the right column, and where it may stand all the same.
HOME_MADE = {
    r"sleepers?|awake": ("onload, offload", ()),
    r"(at|to) rest|weights rest|blocks rest|resting place": ("offloaded", ()),
    r"lanes?": ("block sequence", ()),
    r"imagined": ("fake or meta tensors", ()),
    r"crew": ("workers", ()),
    r"from_main|own_rows": ("broadcast; sharded initialisation", ()),
    # A kind of metric of Prometheus is called so.
    r"gauge": ("dependence metric", ("serve/api/metrics.py",)),
    r"rungs?": ("speed preset", ()),
    r"films?": ("video", ()),
    # Bits that are packed into bytes, batches of several lengths in one, and a page that keeps its name.
    r"pack(s|ed|ing)?": (
        "quantise",
        (
            "weights/gguf/blocks.py",
            "distributed/partial_attention.py",
            "media/provenance.py",
        ),
    ),
    # The rows of a measurement keep the names under which results were published.
    r"pictures?": ("image, frame or video", ("evaluate/toyworld.py",)),
    r"prompt memory|PromptMemory|RememberedContext": ("text K/V cache", ()),
}


@cache
def texts() -> dict[str, str]:
    files = sorted(set(PACKAGE.rglob("*.py")) - {HISTORY})
    return {str(path.relative_to(PACKAGE)): path.read_text(encoding="utf-8") for path in files}


@pytest.mark.parametrize("word", FOUND)
def test_a_search_for_the_fields_word_finds_the_file(word):
    wanted = re.compile(r"[\s_-]+".join(map(re.escape, re.split(r"[ -]", word))), re.IGNORECASE)
    missing = [name for name in FOUND[word] if not wanted.search(texts()[name])]
    assert not missing, f"{word} is what one searches for; say it in {', '.join(missing)}"


@pytest.mark.parametrize("words", HOME_MADE)
def test_words_made_at_home_do_not_come_back(words):
    instead, allowed = HOME_MADE[words]
    pattern = re.compile(rf"\b({words})\b", re.IGNORECASE)
    lines = [
        f"src/mova/{name}:{number}: {found[0]!r}"
        for name, text in texts().items()
        if name not in allowed
        for number, line in enumerate(text.splitlines(), 1)
        if (found := pattern.search(line))
    ]
    assert not lines, f"say {instead} instead:\n" + "\n".join(lines)


def test_exceptions_are_needed():
    idle = [
        f"{words}: {name}"
        for words, (_, allowed) in HOME_MADE.items()
        for name in allowed
        if not re.search(rf"\b({words})\b", texts()[name], re.IGNORECASE)
    ]
    assert idle == []


def test_help_and_descriptions_stand_by_themselves():
    """A noun phrase: "Weight of the audio loss", not "Of the audio loss"."""
    bare = re.compile(r"""(help|description)=\s*["'](of|likewise)\b""", re.IGNORECASE)
    lines = [f"src/mova/{name}: {found[0]}" for name, text in texts().items() for found in bare.finditer(text)]
    assert lines == []
