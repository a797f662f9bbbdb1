"""One sample on 2, 3 and 4 real processes, against one."""

import pytest

import shared_forward
from mova.distributed.context_parallel import ContextParallel
from mova.distributed.mesh import Parallel
from mova.errors import ConfigError
from mova.kernels.attention_backends import use_backend
from processes import run_processes


@pytest.mark.parametrize("world", [2, 3, pytest.param(4, marks=pytest.mark.slow)])
def test_shared_tokens_give_what_one_process_gives(tmp_path, world):
    for found in run_processes(shared_forward.shared_job, world, tmp_path):
        assert found.pop("collectives")["wrong"] < 1e-6
        assert [name for name, holds in found.pop("exchanges").items() if not holds] == []
        assert found.pop("too few")["refused"] == 1.0
        assert found.pop("two sizes")["gradients"] < 1e-6
        assert len(found) == {2: 8, 3: 4, 4: 4}[world]
        for layout, distances in found.items():
            assert distances["outputs"] < 1e-6, layout
            assert distances["gradients"] < 1e-6, layout
            assert distances["inference"] < 1e-6, layout
            assert distances["removed"] == 0.0, layout


def test_alone_nothing_is_changed():
    components = shared_forward.parts(shared_forward.make_model())
    ContextParallel(components, Parallel()).remove()
    assert not components["video_dit"].patch_embedding._forward_hooks


def test_a_degree_that_the_heads_forbid_is_explained():
    text = r"heads of all towers \(video_dit 4, audio_dit 2\), got 3; nearest is 2"
    with pytest.raises(ConfigError, match=text):
        ContextParallel(shared_forward.parts(shared_forward.make_model()), Parallel(ulysses=3))


def test_a_bridge_that_pools_whole_frames_is_refused():
    model = shared_forward.make_model(pooled_adaln=True)
    with pytest.raises(ConfigError, match="pooled_adaln"):
        ContextParallel({"dual_tower_bridge": model.bridge}, Parallel(ring=2))


def test_a_ring_refuses_an_attention_that_cannot_join_its_parts():
    components = shared_forward.parts(shared_forward.make_model())
    use_backend("native_math", components.values())
    with pytest.raises(ConfigError, match=r"attention native_math cannot hand keys around a ring.*got ring=2"):
        ContextParallel(components, Parallel(ring=2))
    assert not components["video_dit"].patch_embedding._forward_hooks
