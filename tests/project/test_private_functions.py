"""Every private name of another library that the package reaches: what it is, where, why, and that it is still so.

A private name may change with any release, so the versions of these libraries have upper bounds (CONTRIBUTING.md).
Whoever raises a bound runs this file first: it says what is gone.
"""

from __future__ import annotations

import dataclasses
import inspect
import tomllib
from pathlib import Path

import pytest
import torch
from packaging.requirements import Requirement
from packaging.version import Version
from torch import nn

from private_names import Private, accepts, find, imported, lazily, mentions, of_models, takes

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "mova"


def float8_products() -> bool:
    schema = torch.ops.aten._scaled_mm.default._schema
    names = [argument.name for argument in schema.arguments]
    return names[:4] == ["self", "mat2", "scale_a", "scale_b"] and {"bias", "out_dtype", "use_fast_accum"} <= set(names)


ATEN = torch.ops.aten
DCP = "torch.distributed.checkpoint.filesystem"
HEADS = ("query", "key", "value")
TABLE = (
    # Kernels that give what the public function does not.
    Private(
        "torch",
        "torch.ops.aten._scaled_dot_product_flash_attention",
        ("distributed/partial_attention.py",),
        "the log-sum-exp of an attention, by which parts of a ring are joined (half precision on CUDA)",
        takes(lambda: ATEN._scaled_dot_product_flash_attention, *HEADS),
    ),
    Private(
        "torch",
        "torch.ops.aten._scaled_dot_product_efficient_attention",
        ("distributed/partial_attention.py",),
        "the same in float32 on CUDA",
        takes(lambda: ATEN._scaled_dot_product_efficient_attention, *HEADS, "attn_bias", "compute_log_sumexp"),
    ),
    Private(
        "torch",
        "torch.ops.aten._scaled_dot_product_flash_attention_for_cpu",
        ("distributed/partial_attention.py",),
        "the same on a CPU",
        takes(lambda: ATEN._scaled_dot_product_flash_attention_for_cpu, *HEADS),
    ),
    Private(
        "torch",
        "torch.ops.aten._scaled_dot_product_flash_attention_backward",
        ("distributed/partial_attention.py",),
        "gradients of a part of a context from the log-sum-exp of the whole",
        takes(
            lambda: ATEN._scaled_dot_product_flash_attention_backward,
            *("grad_out", *HEADS, "out", "logsumexp", "cum_seq_q", "cum_seq_k", "max_q", "max_k"),
            *("dropout_p", "is_causal", "philox_seed", "philox_offset"),
        ),
    ),
    Private(
        "torch",
        "torch.ops.mkldnn._linear_pointwise",
        ("kernels/cpu_linear.py",),
        "a linear layer of oneDNN with its GELU in one pass",
        takes(lambda: torch.ops.mkldnn._linear_pointwise, "X", "W", "B", "attr", "scalars", "algorithm"),
    ),
    Private(
        "torch",
        "torch.ops.mkldnn._is_mkldnn_bf16_supported",
        ("device.py",),
        "whether oneDNN takes bfloat16 on a CPU; torch has no public word for it",
        takes(lambda: torch.ops.mkldnn._is_mkldnn_bf16_supported),
    ),
    Private(
        "torch",
        "torch.cpu._is_avx512_bf16_supported",
        ("device.py",),
        "whether an x86 processor multiplies bfloat16, which oneDNN's word leaves open",
        lambda: isinstance(torch.cpu._is_avx512_bf16_supported(), bool),
    ),
    Private(
        "torch",
        "torch.cpu._is_amx_tile_supported",
        ("kernels/cpu_attention.py",),
        "whether it does so by matrices, as torch's attention can",
        lambda: isinstance(torch.cpu._is_amx_tile_supported(), bool),
    ),
    Private(
        "torch",
        "torch._scaled_mm",
        ("weights/quantize/codes.py",),
        "the product of float8 matrices; beside the layout of the weights that it takes, which kernels do not know",
        float8_products,
    ),
    Private(
        "torch",
        "torch._foreach_copy_",
        ("distributed/fsdp.py",),
        "gradients that were added up in one message, written back in one launch",
        takes(lambda: ATEN._foreach_copy_, "self", "src"),
    ),
    # Parts of torch without a public form.
    Private(
        "torch",
        "torch.nn.Conv3d._conv_forward",
        ("kernels/cpu_conv.py",),
        "the convolution behind the causal padding of the video autoencoder, folded for one frame",
        accepts(lambda: nn.Conv3d._conv_forward, "self", "input", "weight", "bias"),
    ),
    Private(
        "torch",
        "torch.nn.Module._forward_hooks",
        (
            "codecs/video_repeats.py",
            "kernels/cpu_linear.py",
            "pipeline/loop/side_stream.py",
            "weights/quantize/layers.py",
        ),
        "whether somebody listens to a module, of which calls are left out or joined: of the encoder where frames "
        "repeat, of the loop that opens the side stream, of layers that round one input",
        lambda: "_forward_hooks" in vars(nn.Module()),
    ),
    Private(
        "torch",
        "torch.nn.Module._forward_pre_hooks",
        (
            "codecs/video_repeats.py",
            "kernels/cpu_linear.py",
            "pipeline/loop/side_stream.py",
            "weights/quantize/layers.py",
        ),
        "as above",
        lambda: "_forward_pre_hooks" in vars(nn.Module()),
    ),
    Private(
        "torch",
        "torch.nn.Module._parameters",
        ("models/audio_vae.py", "train/plan/unit_memory.py"),
        "which form of weight norm a layer has while it is loaded; fake tensors in the place of a module's own",
        lambda: "_parameters" in vars(nn.Module()),
    ),
    Private(
        "torch",
        "torch.nn.Module._buffers",
        ("train/plan/unit_memory.py",),
        "fake tensors in the place of a module's own; only the plan of a training counts with them",
        lambda: "_buffers" in vars(nn.Module()),
    ),
    Private(
        "torch",
        "torch.nn.Module._apply",
        ("weights/quantize/layers.py",),
        "overridden: `module.to(dtype)` must leave quantised weights and scales alone",
        accepts(lambda: nn.Module._apply, "self", "fn", "recurse"),
    ),
    Private(
        "torch",
        "torch.Tensor._version",
        ("offload/activations.py", "pipeline/loop/sampling.py"),
        "whether a tensor was changed in place: by a block, or by a callback that was shown the latents of its step",
        lambda: isinstance(torch.zeros(1)._version, int),
    ),
    Private(
        "torch",
        "torch.distributed.device_mesh.DeviceMesh._flatten",
        ("distributed/context_parallel.py",),
        "one group of ring x ulysses",
        accepts(lazily("torch.distributed.device_mesh", "DeviceMesh", "_flatten"), "self", "mesh_dim_name"),
    ),
    Private(
        "torch",
        "torch.distributed.checkpoint.filesystem._StorageInfo",
        ("train/loop/state_index.py",),
        "the index of a training state, read without unpickling; it has to be made of torch's own class",
        lambda: (
            [field.name for field in dataclasses.fields(imported(DCP, "_StorageInfo"))][:3]
            == ["relative_path", "offset", "length"]
        ),
    ),
    Private(
        "torch",
        "torch._dynamo.config",
        ("kernels/compile.py",),
        "more sizes of clips than torch compiles by default",
        lambda: imported("torch._dynamo.config", "recompile_limit") > 0 and imported("torch._dynamo.config", "patch"),
    ),
    Private(
        "torch",
        "torch._inductor.config",
        ("kernels/compile.py",),
        "a trial whether anything can be compiled, past the caches",
        lambda: imported("torch._inductor.config", "force_disable_caches") in (True, False),
    ),
    Private(
        "torch",
        "torch.utils._python_dispatch.TorchDispatchMode",
        ("train/plan/allocations.py",),
        "bytes that operations allocate, counted for the plan of a training, which alone needs them",
        lazily("torch.utils._python_dispatch", "TorchDispatchMode", "__torch_dispatch__"),
    ),
    Private(
        "torch",
        "torch.utils._pytree.tree_leaves",
        ("train/plan/allocations.py",),
        "the tensors among what an operation returns",
        lambda: imported("torch.utils._pytree", "tree_leaves")([1, (2, {"a": 3})]) == [1, 2, 3],
    ),
    Private(
        "torch",
        "torch._subclasses.fake_tensor.FakeTensorMode",
        ("train/plan/unit_memory.py",),
        "tensors without memory on a device that need not be there, for the plan of a training",
        lazily("torch._subclasses.fake_tensor", "FakeTensorMode", "__enter__"),
    ),
    # What other libraries leave on modules.
    Private(
        "diffusers",
        "module._diffusers_hook",
        ("codecs/video_repeats.py", "pipeline/loop/side_stream.py"),
        "whether a module has hooks of diffusers; asking the registry would make one",
        mentions(lazily("diffusers.hooks", "HookRegistry", "check_if_exists_or_initialize"), "_diffusers_hook"),
    ),
    Private(
        "accelerate",
        "module._hf_hook",
        ("codecs/video.py", "codecs/video_repeats.py"),
        "whether the autoencoder is offloaded by its own `encode` and `decode`, past which bands would go, or a layer "
        "of its encoder by itself",
        mentions(lazily("accelerate.hooks", "add_hook_to_module"), "_hf_hook"),
    ),
    Private(
        "diffusers",
        "diffusers.AutoencoderKLWan._cached_conv_counts",
        ("codecs/video.py",),
        "how many places the cache of frames has, for the chunks that the codec passes through",
        mentions(lazily("diffusers", "AutoencoderKLWan"), "_cached_conv_counts"),
    ),
    Private(
        "diffusers",
        "diffusers.DiffusionPipeline._progress_bar_config",
        ("pipeline/sharing.py",),
        "the progress bar of a pipeline that another one is made from",
        mentions(lazily("diffusers", "DiffusionPipeline", "set_progress_bar_config"), "_progress_bar_config"),
    ),
    Private(
        "diffusers",
        "diffusers.DiffusionPipeline._execution_device",
        ("pipeline/phases.py", "pipeline/pipeline.py", "pipeline/placed.py"),
        "overridden: weights that rest elsewhere do not say which device computes",
        lambda: isinstance(
            inspect.getattr_static(imported("diffusers", "DiffusionPipeline"), "_execution_device"), property
        ),
    ),
    Private(
        "peft",
        "peft.tuners.tuners_utils.BaseTunerLayer._disable_adapters",
        ("train/build/adapters.py",),
        "adapters off for one forward, without PEFT's switch, which also sets what is trained",
        lambda: imported("peft.tuners.tuners_utils", "BaseTunerLayer")._disable_adapters is False,
    ),
    # What classes of ours say of themselves, and libraries read.
    Private(
        "diffusers",
        "diffusers.ModelMixin._keep_in_fp32_modules",
        (
            *("models/audio_vae.py", "models/bridge.py", "models/text_encoder.py", "models/tower.py"),
            *("train/plan/unit_memory.py", "weights/components.py", "weights/rows.py"),
        ),
        "parts that stay in float32; read where weights are loaded or counted, of transformers' models too",
        of_models("_keep_in_fp32_modules"),
    ),
    Private(
        "diffusers",
        "diffusers.ModelMixin._no_split_modules",
        ("models/audio_vae.py", "models/bridge.py", "models/tower.py"),
        "blocks that a device map keeps whole",
        of_models("_no_split_modules"),
    ),
    Private(
        "diffusers",
        "diffusers.ModelMixin._repeated_blocks",
        ("models/bridge.py", "models/tower.py"),
        "blocks that `compile_repeated_blocks` compiles",
        of_models("_repeated_blocks"),
    ),
    Private(
        "diffusers",
        "diffusers.ModelMixin._skip_layerwise_casting_patterns",
        ("models/bridge.py", "models/tower.py"),
        "parts that `enable_layerwise_casting` leaves alone",
        of_models("_skip_layerwise_casting_patterns"),
    ),
    Private(
        "diffusers",
        "diffusers.ModelMixin._supports_gradient_checkpointing",
        ("models/bridge.py", "models/tower.py"),
        "that `enable_gradient_checkpointing` may be called",
        of_models("_supports_gradient_checkpointing"),
    ),
    Private(
        "diffusers",
        "block._gradient_checkpointing_func",
        ("models/bridge.py", "models/dit_block.py"),
        "set on every block by `enable_gradient_checkpointing`",
        of_models("_gradient_checkpointing_func"),
    ),
    Private(
        "diffusers",
        "diffusers.ModelMixin._group_offload_block_modules",
        ("models/audio_vae.py", "models/tower.py"),
        "parts that block-level group offload hooks",
        of_models("_group_offload_block_modules", "diffusers.hooks.group_offloading"),
    ),
    Private(
        "diffusers",
        "diffusers.models.attention.AttentionModuleMixin._supports_qkv_fusion",
        ("models/attention.py",),
        "that queries, keys and values are not fused",
        of_models("_supports_qkv_fusion", "diffusers.models.attention"),
    ),
    Private(
        "diffusers",
        "processor._attention_backend",
        ("distributed/context_parallel.py", "models/attention.py"),
        "the attention that `set_attention_backend` chose, which shared attention has to obey",
        of_models("_attention_backend"),
    ),
    Private(
        "diffusers",
        "processor._parallel_config",
        ("models/attention.py",),
        "set by diffusers' `enable_parallelism`, handed on to its dispatcher",
        of_models("_parallel_config"),
    ),
    Private(
        "diffusers",
        "diffusers.DiffusionPipeline._optional_components",
        ("pipeline/pipeline.py",),
        "that a model may have one video expert",
        mentions(lazily("diffusers.pipelines.pipeline_utils"), "_optional_components"),
    ),
)
# Public, but experimental or undocumented, and changed under us before: `diffusers.hooks.hooks` (registry and hooks, on
# which the step cache and the side stream are built), `dispatch_attention_fn` (its arguments grew), FSDP2's
# `fully_shard` (moved from `_composable`), `torch.distributed.checkpoint` (form of the index), PEFT's tuner layers. The
# tests of those parts hold them.


def test_each_private_name_is_listed_with_its_files():
    found = find(PACKAGE)
    listed = {(file, one.token) for one in TABLE for file in one.files}
    assert sorted(found - listed) == [], "private names of other libraries that TABLE does not list at these files"
    assert sorted(listed - found) == [], "listed in TABLE, but no longer there (was the file moved?)"


def test_a_new_private_name_is_found(tmp_path):
    (tmp_path / "new.py").write_text(
        "from torch._guards import detect\ntorch._dynamo.reset()\ngetattr(x, '_hf_hook')\nself._own = other._own\n"
        "class A(nn.Module):\n    def _save_to_state_dict(self): ...\n"
    )
    assert {name for _, name in find(tmp_path)} == {"_guards", "_dynamo", "_hf_hook", "_save_to_state_dict"}


@pytest.mark.parametrize("one", TABLE, ids=lambda one: one.name)
@pytest.mark.filterwarnings("ignore")
def test_a_private_name_is_as_we_rely_on_it(one):
    assert one.reason
    assert one.check(), f"{one.name} of {one.library} is not what {', '.join(one.files)} relies on"


def test_a_library_with_private_names_in_use_has_an_upper_bound():
    """By the policy of CONTRIBUTING.md: the tested version is inside of it, the next one is not."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    texts = [*project["dependencies"], *(text for group in project["optional-dependencies"].values() for text in group)]
    needed = {one.name: one.specifier for one in map(Requirement, texts)}
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and line[0] != "#"]
    tested = {one.name: Version(str(one.specifier).removeprefix("==")) for one in map(Requirement, lines)}
    for library in {one.library for one in TABLE}:
        version = tested[library]
        assert version in needed[library]
        # Before 2.0 of a library a minor release may change anything; from there on torch's and transformers' do too.
        upper = Version(f"{version.major}.{version.minor + 1}")
        assert upper not in needed[library], f"{library} needs an upper bound at {upper}"
