"""Blocks that are computed again: the same gradients, less kept."""

import pytest
import torch

from late_streams import LateStreams
from mova.offload import activations
from mova.offload.activations import recompute_blocks
from shared_forward import make_inputs, make_model, results


def kept_bytes(model):
    """Bytes that autograd saves in a forward, each storage once."""
    storages = {}

    def note(tensor):
        storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

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

    copies, send = [], activations._Way.send

    def note(self, tensor):
        copy = send(self, tensor)
        copies.append((copy.tensor.numel() * 4, weakref.ref(copy)))
        return copy

    monkeypatch.setattr(activations._Way, "send", note)
    model = make_model().requires_grad_(False)
    recompute_blocks([model.video_tower, model.audio_tower, model.bridge], offload=True)
    velocities = model(*make_inputs(), frame_rate=24.0)
    # Two samples: what enters 3 video and 2 audio blocks and, at 2 layers, the bridge; text and noise levels of each.
    tokens = 4 * 2 * (15 * 96 * (3 + 2) + 11 * 48 * (2 + 2))
    text_and_time = 4 * 2 * ((6 + 6) * 96 + (6 + 6) * 48)
    assert sum(size for size, _ in copies) == tokens + text_and_time
    velocities.video.sum().backward()
    del velocities
    assert not any(copy() is not None for _, copy in copies), "nothing of it outlives the step"


def test_tokens_that_are_changed_in_place_are_not_taken_for_those_before():
    offloaded = activations._Offloaded()
    tokens = torch.ones(3, requires_grad=True)
    seen = []

    def shown(values):
        seen.append(values.tolist())
        return values * 2

    first = offloaded(shown, tokens)
    with torch.no_grad():
        tokens.add_(1)
    second = offloaded(shown, tokens)
    (first.sum() + second.sum()).backward()
    # Each is computed again with what it was given.
    assert sorted(seen) == [[1.0] * 3] * 2 + [[2.0] * 3] * 2


def with_copies_at_once():
    model = make_model()
    recompute_blocks([model.video_tower, model.audio_tower, model.bridge], offload=True)
    return model


def with_late_streams(monkeypatch):
    """A model whose activations are offloaded by copies that happen when they are waited for, and its streams."""
    streams = LateStreams()
    monkeypatch.setattr(activations, "streams_of", lambda _: streams)
    model = make_model()
    recompute_blocks([model.video_tower, model.audio_tower, model.bridge], offload=True)
    return model, streams


def poison_buffers(monkeypatch):
    """Fill host buffers with NaN when they are taken, and device memory when it is asked for."""
    take, empty_like = activations.HostBuffers.take, torch.empty_like

    def taken(self, shape, dtype):
        copy = take(self, shape, dtype)
        copy.tensor.fill_(float("nan"))
        return copy

    monkeypatch.setattr(activations.HostBuffers, "take", taken)
    monkeypatch.setattr(torch, "empty_like", lambda *given, **named: empty_like(*given, **named).fill_(float("nan")))


def test_copies_that_are_late_are_waited_for(monkeypatch):
    plain = with_copies_at_once()
    model, streams = with_late_streams(monkeypatch)
    poison_buffers(monkeypatch)
    for use_bridge in (True, False, True):
        outputs, expected = results(plain, use_bridge)
        found, gradients = results(model, use_bridge)
        assert all(torch.equal(one, other) for one, other in zip(found, outputs, strict=True))
        assert set(gradients) == set(expected)
        for name, gradient in gradients.items():
            assert torch.equal(gradient, expected[name]), name
    assert streams.side.done > 0
    assert not streams.freed, "memory lasts until its copy is done"


@pytest.mark.parametrize("forgotten", ["way out", "way back"])
def test_a_copy_that_nobody_waits_for_would_be_noticed(monkeypatch, forgotten):
    model, streams = with_late_streams(monkeypatch)
    poison_buffers(monkeypatch)
    if forgotten == "way out":
        # What leaves is let go of before its copy is done.
        monkeypatch.setattr(activations._Way, "_let_go", lambda way, _most: way._leaving.clear())
        results(model, True)
        assert streams.freed
    else:
        wait = streams.main.wait_event
        monkeypatch.setattr(streams.main, "wait_event", lambda event: None if model.is_late else wait(event))
        model.is_late = False
        velocities = model(*make_inputs(), frame_rate=24.0)
        model.is_late = True
        velocities.video.sum().backward()
        assert not model.video_tower.blocks[0].ffn[0].weight.grad.isfinite().all()


def test_the_next_inputs_travel_while_a_block_computes(monkeypatch):
    """Forwards those of the blocks before, backwards those of the block that comes next."""
    model, streams = with_late_streams(monkeypatch)
    under_way, backward = [], []

    def watch(block):
        inner = block._update

        def update(*inputs):
            (backward if torch.is_grad_enabled() else under_way).append(streams.side.num_queued - streams.side.done)
            return inner(*inputs)

        block._update = update

    for block in model.video_tower.blocks:
        watch(block)
    velocities = model(*make_inputs(), frame_rate=24.0)
    # Those of few calls, each of which was given up to six tensors; the bridge comes before the first block.
    assert all(0 < count <= 12 for count in under_way)
    velocities.video.square().mean().backward()
    assert len(backward) == 3
    assert all(count > 0 for count in backward)


def test_host_buffers_are_used_again_at_the_next_step(monkeypatch):
    model, _ = with_late_streams(monkeypatch)
    offloaded = model.video_tower.blocks[0]._gradient_checkpointing_func
    results(model, True)
    (way,) = offloaded._ways.values()
    made, held = way.buffers.num_made, way.buffers.num_bytes
    for _ in range(3):
        results(model, True)
    assert (way.buffers.num_made, way.buffers.num_bytes) == (made, held)
    assert not way._returned
    assert not way._leaving
    assert not way.calls


def test_a_backward_pass_that_breaks_off_does_no_lasting_harm(monkeypatch):
    plain = with_copies_at_once()
    model, streams = with_late_streams(monkeypatch)
    poison_buffers(monkeypatch)
    block = model.video_tower.blocks[1]
    for fails_at in (1, 2):
        calls = []

        def update(*inputs, calls=calls, fails_at=fails_at, inner=block._update):
            calls.append(1)
            if len(calls) == fails_at:
                raise MemoryError
            return inner(*inputs)

        block._update = update
        with pytest.raises(MemoryError):
            results(model, True)
        del block._update
    _, expected = results(plain, True)
    _, gradients = results(model, True)
    assert all(torch.equal(gradient, expected[name]) for name, gradient in gradients.items())
    assert not streams.freed


def test_a_graph_may_be_gone_through_twice(monkeypatch):
    model, _ = with_late_streams(monkeypatch)
    poison_buffers(monkeypatch)
    loss = model(*make_inputs(), frame_rate=24.0).video.square().mean()
    loss.backward(retain_graph=True)
    first = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    loss.backward()
    for name, parameter in model.named_parameters():
        if name in first:
            assert torch.equal(parameter.grad, first[name]), name


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_gradients_are_those_of_inputs_that_stay():
    device = torch.device("cuda")
    inputs = [tensor.to(device) for tensor in make_inputs()]
    found = []
    for offload in (False, True):
        model = make_model().to(device)
        recompute_blocks([model.video_tower, model.audio_tower, model.bridge], offload=offload)
        for _ in range(3):
            model.zero_grad()
            velocities = model(*inputs, frame_rate=24.0)
            (velocities.video.square().mean() + velocities.audio.square().mean()).backward()
        found.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    for name, gradient in found[0].items():
        torch.testing.assert_close(found[1][name], gradient, rtol=1e-5, atol=1e-7)
