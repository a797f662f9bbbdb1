"""The audio tower beside the video tower: who waits for whom, on streams that keep clocks instead of working."""

from __future__ import annotations

import contextlib

import pytest
import torch

from mova.kernels.text_cache import TextCache
from mova.models.bridge import CrossModalBridge
from mova.models.dual_tower import DualTower
from mova.models.tower import AudioTower, VideoTower
from mova.pipeline.loop.side_stream import CudaStreams, SideStream, beside_video

VIDEO = {"dim": 48, "in_dim": 36, "ffn_dim": 96, "out_dim": 16, "text_dim": 32, "freq_dim": 32, "num_heads": 2}
AUDIO = {"dim": 24, "in_dim": 8, "ffn_dim": 48, "out_dim": 8, "text_dim": 32, "freq_dim": 32, "num_heads": 1}


class Clock:
    """A stream whose work is counted; it knows how much work of the other has been done before its own."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.seen = {"main": 0, "side": 0}

    def work(self) -> tuple[str, int]:
        self.seen[self.name] += 1
        return self.name, self.seen[self.name]

    def record_event(self) -> dict[str, int]:
        return dict(self.seen)

    def wait_event(self, event: dict[str, int]) -> None:
        self.seen = {name: max(count, event[name]) for name, count in self.seen.items()}


class ClockedStreams:
    def __init__(self) -> None:
        self.main, self.side = Clock("main"), Clock("side")
        self.now = self.main
        self.kept: list[tuple[torch.Tensor, str]] = []

    def current(self) -> Clock:
        return self.now

    @contextlib.contextmanager
    def use(self, stream):
        before, self.now = self.now, stream
        yield
        self.now = before

    def keep(self, tensor, stream):
        self.kept.append((tensor, stream.name))


class Ledger:
    """Which work made each tensor; reading one whose work the stream in use has not waited for is an error."""

    def __init__(self, streams: ClockedStreams) -> None:
        self.streams, self.made, self.late, self.order = streams, {}, [], []
        self.alive: list[torch.Tensor] = []

    def watch(self, model: DualTower) -> None:
        parts = {
            f"{tower}.{name}": module
            for tower, owner in (("video", model.video_tower), ("audio", model.audio_tower))
            for name, module in (
                *((f"{number}", block) for number, block in enumerate(owner.blocks)),
                ("patches", owner.patch_embedding),
                ("time", owner.time_projection),
                ("head", owner.head),
            )
        } | {"bridge": model.bridge}
        for name, module in parts.items():
            self._watch(name, module)

    def _watch(self, name, module):
        plain = module.forward

        def forward(*inputs, **named):
            stream = self.streams.current()
            tensors = [one for one in inputs if isinstance(one, torch.Tensor)]
            for tensor in tensors:
                maker, count = self.made.get(id(tensor), ("main", 0))
                if stream.seen[maker] < count:
                    self.late.append(name)
            output = plain(*inputs, **named)
            self.order.append((name, stream.name))
            done = stream.work()
            for tensor in output if isinstance(output, tuple) else (output,):
                self.made[id(tensor)] = done
                self.alive.append(tensor)
            return output

        module.forward = forward


def build(video_layers=3, audio_layers=2, strategy="full"):
    torch.manual_seed(0)
    bridge = CrossModalBridge(
        visual_layers=video_layers,
        audio_layers=audio_layers,
        visual_hidden_dim=48,
        audio_hidden_dim=24,
        head_dim=24,
        interaction_strategy=strategy,
    )
    return DualTower(
        VideoTower(**VIDEO, num_layers=video_layers), AudioTower(**AUDIO, num_layers=audio_layers), bridge
    ).eval()


def inputs(device="cpu"):
    generator = torch.Generator().manual_seed(1)
    shapes = ((1, 36, 3, 4, 6), (1, 8, 25))
    latents = [torch.randn(shape, generator=generator).to(device) for shape in shapes]
    time = torch.full((1,), 500.0, device=device)
    return (*latents, time, time, torch.randn(1, 5, 32, generator=generator).to(device))


@torch.no_grad()
@pytest.mark.parametrize("use_bridge", [True, False])
@pytest.mark.parametrize("layers", [(3, 2, "full"), (2, 4, "full"), (6, 6, "distributed")])
def test_every_reader_waits_for_what_it_reads(layers, use_bridge):
    model, streams = build(*layers), ClockedStreams()
    expected = model(*inputs(), frame_rate=24.0, use_bridge=use_bridge)
    ledger = Ledger(streams)
    ledger.watch(model)
    with SideStream([model], streams):
        for _ in range(2):
            made = model(*inputs(), frame_rate=24.0, use_bridge=use_bridge)
    assert ledger.late == []
    assert {stream for name, stream in ledger.order if name.startswith("audio.") and name[6:].isdigit()} == {"side"}
    assert {stream for name, stream in ledger.order if not (name.startswith("audio.") and name[6:].isdigit())} == {
        "main"
    }
    assert torch.equal(made.video, expected.video)
    assert torch.equal(made.audio, expected.audio)


@torch.no_grad()
@pytest.mark.parametrize("forgotten", ["fork", "join"])
def test_a_forgotten_wait_would_be_noticed(monkeypatch, forgotten):
    model, streams = build(), ClockedStreams()
    ledger = Ledger(streams)
    ledger.watch(model)
    monkeypatch.setattr(SideStream, forgotten, lambda _: None)
    with SideStream([model], streams):
        model(*inputs(), frame_rate=24.0)
    assert ledger.late


@torch.no_grad()
def test_audio_blocks_do_not_wait_for_the_video_blocks_beside_them():
    model, streams = build(), ClockedStreams()
    ledger = Ledger(streams)
    ledger.watch(model)
    seen = []
    model.audio_tower.blocks[0].register_forward_pre_hook(lambda *_: seen.append(dict(streams.side.seen)))
    plain = streams.side.wait_event
    waited = []
    streams.side.wait_event = lambda event: (waited.append(event["main"]), plain(event))
    with SideStream([model], streams):
        model(*inputs(), frame_rate=24.0)
    # Audio blocks wait for the bridge; not for the video block beside them, which is queued already.
    names = [name for name, stream in ledger.order if stream == "main"]
    assert [names[count - 1] for count in waited] == ["bridge", "bridge"]
    assert names[waited[0]] == "video.0"


@torch.no_grad()
def test_memory_that_crosses_is_kept_until_it_was_read():
    model, streams = build(), ClockedStreams()
    with SideStream([model], streams):
        model(*inputs(), frame_rate=24.0)
    # Tokens into and out of each audio block.
    assert [name for _, name in streams.kept] == ["side", "main"] * len(model.audio_tower.blocks)


@torch.no_grad()
def test_afterwards_nothing_is_left_on_the_modules():
    model, streams = build(), ClockedStreams()
    with TextCache(inputs()[-1]).applied(model.video_tower, model.audio_tower) as text:
        with SideStream([model, build()], streams):
            model(*inputs()[:-1], text, frame_rate=24.0)
        used = len(streams.kept)
        model(*inputs()[:-1], text, frame_rate=24.0)
    assert len(streams.kept) == used
    assert not any(module._forward_pre_hooks or module._forward_hooks for module in model.modules())


def test_calls_with_gradients_stay_on_one_stream():
    model, streams = build(), ClockedStreams()
    with SideStream([model], streams):
        model(*inputs(), frame_rate=24.0).audio.sum().backward()
    assert streams.kept == []
    assert model.audio_tower.patch_embedding.weight.grad is not None


def test_without_a_gpu_nothing_changes():
    assert isinstance(beside_video([build()], torch.device("cpu")), contextlib.nullcontext)


def test_blocks_with_other_hooks_stay_in_line(monkeypatch):
    model = build()
    monkeypatch.setattr(torch.cuda, "Stream", lambda _: object())
    assert isinstance(beside_video([model], torch.device("cuda")), SideStream)
    model.audio_tower.blocks[1].self_attn.register_forward_pre_hook(lambda *_: None)
    assert isinstance(beside_video([model], torch.device("cuda")), contextlib.nullcontext)
    assert isinstance(beside_video([], torch.device("cuda")), contextlib.nullcontext)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@torch.no_grad()
def test_on_a_gpu_the_numbers_are_the_same():
    device = torch.device("cuda")
    model = build(6, 6).to(device)
    expected = model(*inputs(device), frame_rate=24.0)
    with SideStream([model], CudaStreams(device)):
        for _ in range(20):
            made = model(*inputs(device), frame_rate=24.0)
            assert torch.equal(made.video, expected.video)
            assert torch.equal(made.audio, expected.audio)
