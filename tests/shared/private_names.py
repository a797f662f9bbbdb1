"""Finds private names of other libraries in sources, and says whether one is of the form that is relied on."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor, autograd, nn

LIBRARIES = (
    "torch",
    "diffusers",
    "transformers",
    "peft",
    "accelerate",
    "huggingface_hub",
    "safetensors",
    "bitsandbytes",
)
# Documented in spite of their underscore.
DOCUMENTED = frozenset({"_exit", "_asdict", "_replace", "_fields", "_make"})
# Names on objects of ours that a library sets or reads without a class that has them.
READ_BY_LIBRARIES = frozenset(
    {"_attention_backend", "_parallel_config", "_gradient_checkpointing_func", "_group_offload_block_modules"}
)


def takes(operation: Callable[[], Any], *names: str) -> Callable[[], bool]:
    """Return a check that an operation of torch takes these arguments, in this order from the first one on."""

    def check() -> bool:
        taken = [argument.name for argument in operation().default._schema.arguments]
        return taken[: len(names)] == list(names)

    return check


def accepts(function: Callable[[], Any], *names: str) -> Callable[[], bool]:
    """Return a check that the parameters of a Python function begin with these."""
    return lambda: list(inspect.signature(function()).parameters)[: len(names)] == list(names)


def mentions(owner: Callable[[], Any], name: str) -> Callable[[], bool]:
    """Return a check that the source of a function or class has this name."""
    return lambda: re.search(rf"\b{name}\b", inspect.getsource(owner())) is not None


def imported(module: str, *path: str) -> Any:
    """Return an attribute of a module, imported only now."""
    value: Any = importlib.import_module(module)
    for name in path:
        value = getattr(value, name)
    return value


def lazily(module: str, *path: str) -> Callable[[], Any]:
    return partial(imported, module, *path)


def of_models(name: str, module: str = "diffusers.models.modeling_utils") -> Callable[[], bool]:
    """Return a check that diffusers' models read a private attribute of their class."""
    return mentions(lazily(module), name)


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__") and name not in DOCUMENTED


def private_names_of_bases() -> frozenset[str]:
    """Return the private names of the classes that ours are derived from, or whose objects they hold."""
    from diffusers import ConfigMixin, DiffusionPipeline, ModelMixin
    from diffusers.hooks import HookRegistry
    from diffusers.hooks.hooks import ModelHook
    from diffusers.models.attention import AttentionModuleMixin

    classes = (ConfigMixin, DiffusionPipeline, ModelMixin, HookRegistry, ModelHook, AttentionModuleMixin)
    names = {name for one in (*classes, nn.Module, Tensor, autograd.Function) for name in dir(one)}
    return frozenset(name for name in {*names, *vars(nn.Module())} if is_private(name))


class Finder(ast.NodeVisitor):
    """Goes through the package and notes each private name.

    Attributes:
        imported: (file, name) of what is imported from other packages.
        reached: (file, name) of attributes of anything but `self`.
        defined: (file, name, class) of attributes of `self` and of the bodies of classes.
        own: private names that the package defines.
        bases: names of the bases of each class.
        strange: names that were imported from other libraries.
    """

    def __init__(self) -> None:
        self.imported: set[tuple[str, str]] = set()
        self.reached: set[tuple[str, str]] = set()
        self.defined: set[tuple[str, str, str]] = set()
        self.own: set[str] = set()
        self.bases: dict[str, set[str]] = {}
        self.strange: set[str] = set()
        self.file = ""
        self.classes = [""]

    def visit_Import(self, node: ast.Import) -> None:
        parts = [part for alias in node.names for part in alias.name.split(".")]
        self.imported |= {(self.file, part) for part in parts if is_private(part)}

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = node.module or ""
        if node.level or module.partition(".")[0] == "mova":
            return
        names = [alias.name for alias in node.names]
        if module.partition(".")[0] in LIBRARIES:
            self.strange |= set(names)
        self.imported |= {(self.file, part) for part in (*module.split("."), *names) if is_private(part)}

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        bases = {ast.unparse(base).partition("[")[0].rpartition(".") for base in node.bases}
        self.bases.setdefault(node.name, set()).update(
            name if module != "nn" else "Module" for module, _, name in bases
        )
        self.classes.append(node.name)
        for statement in node.body:
            for name in names_defined(statement):
                self.own.add(name)
                self.note_own(name)
        self.generic_visit(node)
        self.classes.pop()

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self.generic_visit(node)
        if not is_private(node.attr):
            return
        owner = node.value
        if isinstance(owner, ast.Call) and isinstance(owner.func, ast.Name) and owner.func.id == "super":
            self.note_own(node.attr)
        elif isinstance(owner, ast.Name) and owner.id in ("self", "cls"):
            self.note_own(node.attr)
            if isinstance(node.ctx, ast.Store):
                self.own.add(node.attr)
        else:
            self.reached.add((self.file, node.attr))

    def visit_Call(self, node: ast.Call) -> None:
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id in ("getattr", "setattr", "hasattr", "delattr"):
            name = node.args[1]
            if isinstance(name, ast.Constant) and is_private(str(name.value)):
                self.reached.add((self.file, str(name.value)))

    def note_own(self, name: str) -> None:
        if is_private(name):
            self.defined.add((self.file, name, self.classes[-1]))

    def is_derived(self, name: str) -> bool:
        """Say whether a class comes from one of another library. A mixin stands beside one in the end."""
        if name in self.strange or name == "Module" or name.endswith("Mixin"):
            return True
        return any(self.is_derived(base) for base in self.bases.get(name, ()) if base != name)

    def found(self) -> set[tuple[str, str]]:
        """Return files with the private names of others that they reach."""
        others = private_names_of_bases()
        reached = {(file, name) for file, name in self.reached if name in others or name not in self.own}
        defined = {
            (file, name)
            for file, name, kind in self.defined
            if name in READ_BY_LIBRARIES or (name in others and self.is_derived(kind))
        }
        return self.imported | reached | defined


def names_defined(statement: ast.stmt) -> Iterator[str]:
    """Yield the names that a statement in the body of a class defines."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield statement.name
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    if isinstance(statement, ast.AnnAssign):
        targets = [statement.target]
    yield from (target.id for target in targets if isinstance(target, ast.Name))


def find(package: Path) -> set[tuple[str, str]]:
    """Return the files of a package, below it, with the private names of others that each reaches."""
    finder = Finder()
    for path in sorted(package.rglob("*.py")):
        finder.file = path.relative_to(package).as_posix()
        finder.visit(ast.parse(path.read_text()))
    return finder.found()


@dataclass(frozen=True)
class Private:
    """A private name of another library.

    Attributes:
        library: that it belongs to.
        name: with its owner; its first part with an underscore is what the files say.
        files: of the package that reach it, below `src/mova`.
        reason: why, and why there where that is neither `kernels` nor `distributed` nor `offload`.
        check: raises, or returns False, if it is not there or not of the form that is relied on.
    """

    library: str
    name: str
    files: tuple[str, ...]
    reason: str
    check: Callable[[], object]

    @property
    def token(self) -> str:
        return next(part for part in self.name.split(".") if is_private(part))
