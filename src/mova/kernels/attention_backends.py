"""The attention back-ends that a user may choose, and whether they can run here.

Names are those of the field; each stands for one back-end of diffusers' dispatcher (`mova.models.attention` calls it).
Whether one can run is found out before weights are loaded. Importing this file imports no torch, and a package of
kernels is looked for only when its back-end is asked for.
"""

from __future__ import annotations

import difflib
import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mova.errors import ConfigError

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True)
class Package:
    """What brings kernels that are not torch's own.

    Attributes:
        name: as Python imports it.
        how_to_get: it.
    """

    name: str
    how_to_get: str


@dataclass(frozen=True)
class Backend:
    """One way to compute attention.

    Attributes:
        name: of the user's choice.
        dispatched: name in diffusers' dispatcher.
        words: what it is.
        devices: kinds of devices that it runs on; empty where it runs on all.
        needs_half: computes in bfloat16 or float16 only (on a GPU).
        capability: least compute capability of a CUDA device.
        below_capability: first compute capability that is too new, or None.
        package: what has to be installed; None where torch is enough.
        max_head_dim: most channels per head (on a GPU); None without limit.
        is_exact: computes attention as defined, up to rounding; else queries and keys are rounded to 8 bits.
    """

    name: str
    dispatched: str
    words: str
    devices: tuple[str, ...] = ("cuda",)
    needs_half: bool = False
    capability: tuple[int, int] = (0, 0)
    below_capability: tuple[int, int] | None = None
    package: Package | None = None
    max_head_dim: int | None = None
    is_exact: bool = True


def _torch(name: str, words: str, devices: tuple[str, ...] = (), *, max_head_dim: int | None = None) -> Backend:
    fast = name in ("native_flash", "native_cudnn")
    dispatched = name if name == "native" else f"_{name}"
    capability = (8, 0) if fast else (0, 0)
    return Backend(name, dispatched, words, devices, fast, capability, max_head_dim=max_head_dim)


def _sage(name: str, dispatched: str, words: str, capability: tuple[int, int] = (8, 0)) -> Backend:
    package = Package("sageattention", "pip install 'sageattention>=2.1.1'")
    words = f"SageAttention, int8 queries and keys, {words}"
    return Backend(name, dispatched, words, ("cuda",), True, capability, None, package, 128, is_exact=False)


_FLASH_2 = Package("flash_attn", "pip install 'flash-attn>=2.6.3'")
_FLASH_3 = Package("flash_attn_interface", "build the folder `hopper` of FlashAttention from source")
_FLASH_4 = Package("kernels", "pip install 'kernels>=0.12.3', which fetches the kernel from the hub")

BACKENDS: dict[str, Backend] = {
    backend.name: backend
    for backend in (
        _torch("native", "torch's attention, torch chooses the kernel"),
        _torch("native_flash", "torch's FlashAttention", ("cpu", "cuda"), max_head_dim=256),
        _torch("native_cudnn", "cuDNN's attention", ("cuda",), max_head_dim=128),
        _torch("native_efficient", "torch's memory-efficient attention", ("cuda",)),
        _torch("native_math", "the definition, all weights in memory"),
        Backend("flash", "flash", "FlashAttention 2", ("cuda",), True, (8, 0), None, _FLASH_2, 256),
        Backend("flash_3", "_flash_3", "FlashAttention 3", ("cuda",), True, (9, 0), (10, 0), _FLASH_3, 256),
        Backend("flash_4", "flash_4_hub", "FlashAttention 4", ("cuda",), True, (9, 0), None, _FLASH_4, 128),
        _sage("sage", "sage", "its choice of kernel"),
        _sage("sage_fp16", "_sage_qk_int8_pv_fp16_cuda", "float16 values"),
        _sage("sage_fp8", "_sage_qk_int8_pv_fp8_cuda", "float8 values", (8, 9)),
    )
}
# Tried in this order where another one cannot run; the last one always can.
_NEAREST = ("native_flash", "native_cudnn", "native_efficient", "native")


def find_backend(name: str) -> Backend:
    """Return the back-end of a name.

    Raises:
        ConfigError: an unknown name; the text names the nearest one.
    """
    if name not in BACKENDS:
        nearest = difflib.get_close_matches(name, BACKENDS, n=1, cutoff=0.0)[0]
        raise ConfigError(f"attention must be one of {', '.join(BACKENDS)}; got {name!r}; nearest is {nearest}")
    return BACKENDS[name]


def check_backend(
    name: str, device: torch.device, dtype: torch.dtype, *, head_dims: Iterable[int] = (), ring: int = 1
) -> None:
    """Make sure that a back-end can run, before anything else is loaded.

    Args:
        name: of the back-end.
        device: that computes.
        dtype: of the towers' weights, in which attention is computed.
        head_dims: channels per head of everything that attends.
        ring: processes around which keys are handed; they join parts with torch's own kernels.

    Raises:
        ConfigError: it cannot: the rule, what was found, how to get what is missing, and the nearest one that can.
    """
    backend = find_backend(name)
    head_dims = tuple(head_dims)
    nearest = next(other for other in _NEAREST if _obstacle(BACKENDS[other], device, dtype, head_dims, ring) is None)
    reason = _obstacle(backend, device, dtype, head_dims, ring) or _not_installed(backend)
    if reason is not None:
        raise ConfigError(f"attention {name} ({backend.words}) {reason}; nearest is {nearest}")


def use_backend(name: str, modules: Iterable[nn.Module]) -> int:
    """Let every attention in some modules compute with a back-end that was checked.

    The pooling of a bridge with `pooled_adaln` is left to torch: it has one query per frame.

    Args:
        name: of the back-end.
        modules: towers and bridge, changed in place.

    Returns:
        The number of attentions that use it.
    """
    from mova.models.attention import Attention

    backend = find_backend(name)
    layers: list[Attention] = [
        layer for module in modules for layer in module.modules() if isinstance(layer, Attention)
    ]
    for layer in layers:
        # That of diffusers' mixin, which changes this layer only and no default of the process.
        layer.set_attention_backend(backend.dispatched)  # type: ignore[operator]
    return len(layers)


def check_ring(dispatched: str | None, ring: int) -> None:
    """Make sure that an attention may hand its keys around a ring of processes.

    Args:
        dispatched: its back-end in diffusers' dispatcher, None for the default.
        ring: processes of the ring.

    Raises:
        ConfigError: it may not.
    """
    if ring > 1 and dispatched not in (None, BACKENDS["native"].dispatched):
        name = next((one.name for one in BACKENDS.values() if one.dispatched == dispatched), dispatched)
        raise ConfigError(f"attention {name} {_ring_rule(ring)}; nearest is native")


def _ring_rule(ring: int) -> str:
    return (
        "cannot hand keys around a ring, which joins parts by their log-sum-exp with torch's own kernels, "
        f"got ring={ring}; use ulysses instead"
    )


def _obstacle(
    backend: Backend, device: torch.device, dtype: torch.dtype, head_dims: tuple[int, ...], ring: int
) -> str | None:
    """Return why a back-end cannot run even if its package is there; None where it can."""
    if backend.devices and device.type not in backend.devices:
        return f"runs on {' and '.join(backend.devices)}, got {device.type}"
    if backend.needs_half and device.type == "cuda" and dtype.itemsize != 2:
        return f"computes in bfloat16 or float16, got {dtype}; load the model in bfloat16"
    if backend.max_head_dim and device.type == "cuda" and max(head_dims, default=0) > backend.max_head_dim:
        return f"takes up to {backend.max_head_dim} channels per head, got {max(head_dims)}"
    if ring > 1 and backend.name != "native":
        return _ring_rule(ring)
    return _wrong_gpu(backend, device)


def _wrong_gpu(backend: Backend, device: torch.device) -> str | None:
    if device.type != "cuda" or (backend.capability == (0, 0) and backend.below_capability is None):
        return None
    import torch

    found = torch.cuda.get_device_capability(device)
    too_new = backend.below_capability is not None and found >= backend.below_capability
    if found >= backend.capability and not too_new:
        return None
    least = "{}.{}".format(*backend.capability)
    limit = "" if backend.below_capability is None else " and below {}.{}".format(*backend.below_capability)
    return "needs a GPU of compute capability {} or more{}, got {}.{}".format(least, limit, *found)


def _not_installed(backend: Backend) -> str | None:
    if backend.package is None:
        return None
    if importlib.util.find_spec(backend.package.name) is None:
        return f"needs the package {backend.package.name}, which is not installed: {backend.package.how_to_get}"
    from diffusers.models.attention_dispatch import attention_backend

    try:
        # Checks the version and that it could be imported, and fetches what comes from the hub.
        with attention_backend(backend.dispatched):
            pass
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        return f"cannot use the installed package {backend.package.name} ({error}): {backend.package.how_to_get}"
    return None
