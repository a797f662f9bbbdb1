"""One sample on 2, 3 and 4 real processes, against one."""

import sys
from pathlib import Path

import pytest

from mova.distributed.context_parallel import ContextParallel
from mova.distributed.mesh import Parallel
from mova.errors import ConfigError, GeometryError

sys.path.insert(0, str(Path(__file__).parent))
import shared_forward
from processes import run_processes


@pytest.mark.parametrize("world", [2, 3, 4])
def test_shared_tokens_give_what_one_process_gives(tmp_path, world):
    for found in run_processes(shared_forward.shared_job, world, tmp_path):
        assert found.pop("collectives")["wrong"] < 1e-6
        assert len(found) == {2: 8, 3: 4, 4: 4}[world]
        for layout, distances in found.items():
            assert distances["outputs"] < 1e-5, layout
            assert distances["gradients"] < 1e-5, layout
            assert distances["removed"] == 0.0, layout
            assert distances["same names"] == 1.0, layout


def parts():
    model = shared_forward.make_model()
    return {"video_dit": model.video_tower, "audio_dit": model.audio_tower, "dual_tower_bridge": model.bridge}


def test_alone_nothing_is_changed():
    components = parts()
    ContextParallel(components, Parallel()).remove()
    assert not components["video_dit"].patch_embedding._forward_hooks


def test_a_degree_that_the_heads_forbid_is_explained():
    text = r"heads of all towers \(video_dit 4, audio_dit 2\), got 3; nearest is 2"
    with pytest.raises(ConfigError, match=text):
        ContextParallel(parts(), Parallel(ulysses=3))


def test_a_bridge_that_pools_whole_frames_is_refused():
    model = shared_forward.make_model(pooled_adaln=True)
    with pytest.raises(ConfigError, match="pooled_adaln"):
        ContextParallel({"dual_tower_bridge": model.bridge}, Parallel(ring=2))


def test_fewer_tokens_than_processes_are_refused():
    from mova.distributed.context_parallel import _Lengths

    with pytest.raises(GeometryError, match="audio must have a token for each of 4 processes, got 3"):
        _Lengths(4).begin("audio", 3)
