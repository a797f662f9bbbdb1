"""Blocks that are onloaded in turn: the same numbers, few of them there at once, nothing overwritten in use."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mova.errors import ConfigError
from mova.models.dual_tower import DualTower
from mova.models.tower import VideoTower
from mova.offload.activations import recompute_blocks
from mova.offload.streaming import BlockStreamer, block_bytes, block_sequences
from quantised import quantise
from shared_forward import VIDEO, make_inputs, make_model

CPU = torch.device("cpu")
NAMES = ("high", "low")


def make_experts(quantize=None, **bridge):
    """Two joint models around one audio tower and bridge, frozen but for one matrix per attention."""
    high = make_model(**bridge)
    torch.manual_seed(5)
    low = DualTower(VideoTower(**VIDEO, num_layers=3), high.audio_tower, high.bridge)
    for component in components_of(high, low):
        component.requires_grad_(False)
        if quantize:
            quantise(component, quantize)
        for path, parameter in component.named_parameters():
            # Stands for an adapter: small, in every block, floating also where the weights are quantised.
            parameter.requires_grad_(path.endswith("norm_q.weight"))
    return {"high": high, "low": low}


def components_of(high, low):
    return [high.video_tower, low.video_tower, high.audio_tower, high.bridge]


def stream(experts, offload=False, **options):
    components = components_of(*experts.values())
    recompute_blocks(components, offload=offload)
    return BlockStreamer(components, CPU, **options)


def poison(monkeypatch):
    """Fill a slot with NaN (in every floating dtype) whenever its block leaves it."""
    from mova.offload import streaming

    vacate = streaming._Slot.vacate

    def vacate_and_spoil(slot):
        vacate(slot)
        slot.buffer.fill_(255)

    monkeypatch.setattr(streaming._Slot, "vacate", vacate_and_spoil)


def step(model, use_bridge=True):
    model.zero_grad()
    velocities = model(*make_inputs(), frame_rate=24.0, use_bridge=use_bridge)
    loss = velocities.video.square().mean() + 0.3 * (velocities.audio - 1).square().mean()
    loss.backward()
    return float(loss.detach()), {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def assert_same(found, expected):
    assert found[0] == expected[0]
    assert found[1].keys() == expected[1].keys()
    assert expected[1]
    for name, gradient in expected[1].items():
        assert torch.equal(found[1][name], gradient), name


@pytest.mark.parametrize("offload", [False, True])
@pytest.mark.parametrize("quantize", [None, "float8", "int8", "nf4"])
def test_losses_and_gradients_have_the_bits_of_resident_blocks(monkeypatch, quantize, offload):
    poison(monkeypatch)
    resident, streamed = make_experts(quantize), make_experts(quantize)
    recompute_blocks(components_of(*resident.values()), offload=offload)
    stream(streamed, offload=offload)
    for name, use_bridge in (("high", True), ("low", True), ("low", False), ("high", False), ("high", True)):
        assert_same(step(streamed[name], use_bridge), step(resident[name], use_bridge))


def test_a_forward_without_gradients_needs_no_recomputing(monkeypatch):
    poison(monkeypatch)
    resident, streamed = make_experts(), make_experts()
    BlockStreamer(components_of(*streamed.values()), CPU)
    for context in (torch.no_grad, torch.inference_mode):
        for name in ("high", "low", "low"):
            with context():
                expected = resident[name](*make_inputs(), frame_rate=24.0)
                found = streamed[name](*make_inputs(), frame_rate=24.0)
            assert torch.equal(found.video, expected.video)
            assert torch.equal(found.audio, expected.audio)


@pytest.mark.parametrize("store", ["host", "files"])
def test_blocks_may_be_stored_in_fewer_bits_than_are_computed_with(monkeypatch, store):
    poison(monkeypatch)
    resident, streamed = make_experts(), make_experts()
    for component in components_of(*streamed.values()):
        component.requires_grad_(False)
    for one, other in zip(components_of(*resident.values()), components_of(*streamed.values()), strict=True):
        for sequence, other_sequence in zip(block_sequences(one), block_sequences(other), strict=True):
            for block, other_block in zip(sequence, other_sequence, strict=True):
                block.to(torch.bfloat16).to(torch.float32)
                other_block.to(torch.bfloat16)
    streamer = BlockStreamer(components_of(*streamed.values()), CPU, store=store, computing=lambda _: torch.float32)
    for _ in range(2):
        for name in ("high", "low", "low"):
            with torch.no_grad():
                expected = resident[name](*make_inputs(), frame_rate=24.0)
                found = streamed[name](*make_inputs(), frame_rate=24.0)
            assert torch.equal(found.video, expected.video)
            assert torch.equal(found.audio, expected.audio)
        assert streamer.slot_bytes() > 0
        # Slots come back when a block is wanted again.
        streamer.release_slots()
        assert streamer.slot_bytes() == streamer.resident_bytes() == 0
    streamer.remove()
    assert next(streamed["high"].video_tower.blocks.parameters()).dtype is torch.bfloat16


def test_two_forwards_before_their_backward_passes_keep_their_weights_apart(monkeypatch):
    poison(monkeypatch)

    def gradients(experts):
        loss = 0.0
        for name in NAMES:
            velocities = experts[name](*make_inputs(), frame_rate=24.0)
            loss = loss + velocities.video.square().mean() + (velocities.audio - 1).square().mean()
        loss.backward()
        return [p.grad for model in experts.values() for p in model.parameters() if p.grad is not None]

    resident, streamed = make_experts(), make_experts()
    recompute_blocks(components_of(*resident.values()))
    stream(streamed)
    for found, expected in zip(gradients(streamed), gradients(resident), strict=True):
        assert torch.equal(found, expected)


def place_of(block):
    """Where the frozen weights of a block are: in the backing store, or in a slot."""
    return next(p for p in block.parameters() if not p.requires_grad).untyped_storage().data_ptr()


def test_no_lane_has_more_blocks_on_the_device_than_slots():
    experts = make_experts()
    streamer = stream(experts)
    sequences = [sequence for component in components_of(*experts.values()) for sequence in block_sequences(component)]
    # The video blocks of both experts share slots; a bridge has one sequence per direction.
    sequences = [sequences[0] + sequences[1], *sequences[2:]]
    kept = {block: place_of(block) for sequence in sequences for block in sequence}
    seen = []

    def count(*_):
        present = [block for block, place in kept.items() if place_of(block) != place]
        seen.append([sum(block in sequence for block in present) for sequence in sequences])
        assert streamer.resident_bytes() == sum(block_bytes(block) for block in present)

    for sequence in sequences:
        for block in sequence:
            block.register_forward_pre_hook(count)
            next(p for p in block.parameters() if p.requires_grad).register_hook(count)
    assert streamer.resident_bytes() == 0
    for name in (*NAMES, "high"):
        step(experts[name])
    assert [max(column) for column in zip(*seen, strict=True)] == [2, 2, 2, 2]
    assert streamer.peak_bytes <= streamer.slot_bytes()
    assert streamer.host_bytes() == sum(block_bytes(block) for sequence in sequences for block in sequence)


def test_blocks_compute_with_the_weights_of_their_slot_and_the_next_ones_are_there_before_their_turn():
    experts = make_experts()
    stream(experts)
    blocks = list(experts["high"].video_tower.blocks)
    kept = [place_of(block) for block in blocks]
    slots = {}
    turns = []
    for index, block in enumerate(blocks):

        def update(*inputs, block=block, index=index, inner=block._update):
            weight = block.self_attn.q.weight
            start = weight.untyped_storage().data_ptr()
            slots.setdefault(start, set()).add(index)
            turns.append((index, {place for place, other in enumerate(blocks) if place_of(other) != kept[place]}))
            return inner(*inputs)

        block._update = update
    store = {block.self_attn.q.weight.untyped_storage().data_ptr() for block in blocks}
    step(experts["high"])
    assert turns == [(0, {0, 1}), (1, {1, 2}), (2, {1, 2}), (2, {1, 2}), (1, {0, 1}), (0, {0, 1})]
    assert len(slots) == 2
    assert not set(slots) & store


def test_what_learns_stays_where_it_is_and_can_be_changed_between_steps():
    resident, streamed = make_experts(), make_experts()
    recompute_blocks(components_of(*resident.values()))
    stream(streamed)
    for _ in range(3):
        for experts in (resident, streamed):
            step(experts["high"])
            with torch.no_grad():
                for parameter in experts["high"].parameters():
                    if parameter.grad is not None:
                        parameter -= 0.1 * parameter.grad
    assert_same(step(streamed["high"]), step(resident["high"]))


def test_a_failed_forward_or_backward_pass_does_no_lasting_harm(monkeypatch):
    poison(monkeypatch)
    resident, streamed = make_experts(), make_experts()
    recompute_blocks(components_of(*resident.values()))
    stream(streamed)
    block = streamed["high"].video_tower.blocks[1]
    for fails_at in (1, 2):
        calls = []

        def update(*inputs, calls=calls, fails_at=fails_at, inner=block._update):
            calls.append(1)
            if len(calls) == fails_at:
                raise MemoryError
            return inner(*inputs)

        block._update = update
        with pytest.raises(MemoryError):
            step(streamed["high"])
        del block._update
    assert_same(step(streamed["high"]), step(resident["high"]))


def test_after_remove_the_model_is_a_plain_one_again():
    resident, streamed = make_experts(), make_experts()
    streamer = stream(streamed)
    step(streamed["high"])
    streamer.remove()
    assert streamer.resident_bytes() == streamer.slot_bytes() == 0
    recompute_blocks(components_of(*resident.values()))
    assert_same(step(streamed["low"]), step(resident["low"]))
    for (name, found), expected in zip(streamed["high"].named_parameters(), resident["high"].parameters(), strict=True):
        assert torch.equal(found, expected), name


@settings(max_examples=8, deadline=None)
@given(
    turns=st.lists(st.tuples(st.sampled_from(NAMES), st.booleans(), st.booleans()), min_size=1, max_size=5),
    strategy=st.sampled_from(["full", "distributed", "custom"]),
)
def test_any_order_of_experts_bridge_and_validation_gives_the_same_numbers(turns, strategy):
    resident = make_experts(interaction_strategy=strategy)
    streamed = make_experts(interaction_strategy=strategy)
    recompute_blocks(components_of(*resident.values()))
    stream(streamed)
    for name, use_bridge, learns in turns:
        if learns:
            assert_same(step(streamed[name], use_bridge), step(resident[name], use_bridge))
            continue
        with torch.no_grad():
            found, expected = (
                one[name](*make_inputs(), frame_rate=24.0, use_bridge=use_bridge) for one in (streamed, resident)
            )
        assert torch.equal(found.video, expected.video)


def test_what_cannot_be_streamed_is_explained():
    with pytest.raises(ConfigError, match="of towers and of the bridge, got Linear"):
        BlockStreamer([torch.nn.Linear(2, 2)], CPU)
    learning = make_model()
    with pytest.raises(ConfigError, match="must hold frozen weights, got none in a sequence of VideoTower"):
        BlockStreamer([learning.video_tower], CPU)


def test_gradients_without_recomputing_are_refused_before_anything_is_computed():
    experts = make_experts()
    BlockStreamer(components_of(*experts.values()), CPU)
    with pytest.raises(ConfigError, match="must be computed again for its gradients, got one that is not"):
        experts["high"](*make_inputs(), frame_rate=24.0)


def is_pinned(buffer):
    # A tensor asks for the beginning of its storage, which in a view may lie before the pages that are pinned.
    return torch.from_numpy(buffer.numpy()).is_pinned()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("offload", [False, True])
def test_on_a_gpu_the_numbers_are_those_of_resident_blocks(offload):
    device = torch.device("cuda")
    resident, streamed = make_experts(), make_experts()
    for model in resident.values():
        model.to(device)
    recompute_blocks(components_of(*resident.values()), offload=offload)
    recompute_blocks(components_of(*streamed.values()), offload=offload)
    streamer = BlockStreamer(components_of(*streamed.values()), device)
    for model in streamed.values():
        for part in [*model.children()]:
            for tensor in part.parameters():
                if tensor.requires_grad:
                    tensor.data = tensor.data.to(device)
            for name, child in part.named_children():
                if name != "blocks" and not name.endswith("conditioners"):
                    child.to(device)
    assert all(is_pinned(block.store.buffer) for block in streamer._blocks)
    inputs = [tensor.to(device) for tensor in make_inputs()]
    for name in ("high", "low", "high"):
        losses = []
        for model in (resident[name], streamed[name]):
            velocities = model(*inputs, frame_rate=24.0)
            loss = velocities.video.square().mean() + velocities.audio.square().mean()
            loss.backward()
            losses.append(loss.detach())
        torch.testing.assert_close(losses[1], losses[0])
        pairs = zip(streamed[name].parameters(), resident[name].parameters(), strict=True)
        for found, expected in pairs:
            if expected.grad is not None:
                torch.testing.assert_close(found.grad, expected.grad)
    streamer.remove()
    assert not any(is_pinned(block.store.buffer) for block in streamer._blocks)
