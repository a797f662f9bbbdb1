"""Blocks that are computed again: the same gradients, less kept."""

import pytest
import torch

from mova.offload.activations import recompute_blocks
from shared_forward import make_model, results


def kept_bytes(model):
    """Bytes that autograd saves in a forward, each storage once."""
    storages = {}

    def note(tensor):
        storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    from shared_forward import make_inputs

    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        model(*make_inputs(), frame_rate=24.0)
    return sum(size for pointer, size in storages.items() if pointer not in weights)


@pytest.mark.parametrize("offload", [False, True])
def test_gradients_are_the_same(offload):
    _, expected = results(make_model(), True)
    model = make_model()
    recompute_blocks([model.video_tower, model.audio_tower, model.bridge], offload=offload)
    _, gradients = results(model, True)
    assert set(gradients) == set(expected)
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-5, atol=1e-7)


def test_less_is_kept_for_the_backward_pass():
    plain, small = make_model(), make_model()
    recompute_blocks([small.video_tower, small.audio_tower, small.bridge])
    assert kept_bytes(small) < 0.3 * kept_bytes(plain)


def test_adapters_of_the_first_block_learn_though_nothing_before_it_does():
    model = make_model().requires_grad_(False)
    recompute_blocks([model.video_tower, model.audio_tower, model.bridge], offload=True)
    first = model.video_tower.blocks[0].self_attn.q.weight.requires_grad_()
    results(model, True)
    assert first.grad.abs().max() > 0


def test_what_waits_on_the_host_is_there_once_however_many_blocks_read_it(monkeypatch):
    """Both directions of the bridge read the same tokens, all blocks of a tower the same text."""
    import weakref

    from mova.offload.activations import _Offloaded
    from shared_forward import make_inputs

    copies, to_host = {}, _Offloaded._to_host

    def note(self, tensor):
        kept = to_host(self, tensor)
        copies[kept[1].data_ptr()] = (kept[1].numel() * 4, weakref.ref(kept[1]))
        return kept

    monkeypatch.setattr(_Offloaded, "_to_host", note)
    model = make_model().requires_grad_(False)
    recompute_blocks([model.video_tower, model.audio_tower, model.bridge], offload=True)
    velocities = model(*make_inputs(), frame_rate=24.0)
    # Two samples: what enters 3 video and 2 audio blocks and, at 2 layers, the bridge; text and noise levels of each.
    tokens = 4 * 2 * (15 * 96 * (3 + 2) + 11 * 48 * (2 + 2))
    text_and_time = 4 * 2 * ((6 + 6) * 96 + (6 + 6) * 48)
    assert sum(size for size, _ in copies.values()) == tokens + text_and_time
    velocities.video.sum().backward()
    del velocities
    assert not any(copy() is not None for _, copy in copies.values()), "nothing of it outlives the step"


def test_tokens_that_are_changed_in_place_are_not_taken_for_those_before():
    from mova.offload.activations import _Offloaded

    offloaded = _Offloaded()
    tokens = torch.ones(3)
    _, first = offloaded._to_host(tokens)
    assert offloaded._to_host(tokens)[1] is first
    tokens.add_(1)
    assert offloaded._to_host(tokens)[1].tolist() == [2.0] * 3
    assert first.tolist() == [1.0] * 3
