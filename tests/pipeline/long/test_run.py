"""Long clips, window after window and together."""

from dataclasses import replace

import numpy as np
import pytest

from mova.codecs.video import tensor_to_frames
from mova.conditioning.windows import plan_windows
from mova.errors import ConfigError, NumericalError, StoppedError
from mova.media.measures.collapse import Collapse
from mova.pipeline.long import run as long_run
from mova.pipeline.long.given import LongInputs, Watch, window_seed
from mova.pipeline.long.prompts import PromptTrack
from mova.pipeline.long.run import LongRun
from mova.pipeline.long.store import WindowStore
from mova.pipeline.loop.control import Control
from mova.settings.sampling import GivenSettings

WINDOW, CLIP = 13, 37
GIVEN = GivenSettings(height=32, width=32, num_frames=WINDOW, num_inference_steps=2, guidance_scale=1.0)


@pytest.fixture(scope="module")
def settings(pipe):
    return pipe.complete_settings(GIVEN)


def plan_of(settings, num_frames=CLIP, **options):
    window = settings.geometry
    return plan_windows(replace(window, num_frames=num_frames), window, overlap_s=0.2, **options)


@pytest.fixture
def make(pipe, settings):
    """Return a function that makes a clip: its run, frames (F, H, W, 3) and samples (1, S)."""

    def run(num_frames=CLIP, *, store=None, watch=None, known=None, method="continue", later=(), **asked):
        asked = {"seed": 3, "retries": 0, "method": method, "prompts": PromptTrack.of("a dog", later)} | asked
        asked["known_frames"] = known
        plan = plan_of(settings, num_frames, known_frames=0 if known is None else len(known), method=method)
        made = LongRun(pipe, settings, plan, LongInputs(**asked), store=store, watch=watch)
        pieces = list(made.pieces())
        frames = np.concatenate([piece.frames for piece in pieces])
        return made, frames, np.concatenate([piece.samples for piece in pieces], axis=1)

    return run


@pytest.fixture(scope="module")
def first_window(pipe):
    made = pipe("a dog", seed=3, output_type="pt", **GIVEN.values())
    return tensor_to_frames(made.frames.movedim(1, 2).mul(2).sub(1))[0], made.audio.numpy()[0]


def test_a_long_clip_begins_as_the_clip_of_one_window_and_has_the_length_asked_for(make, first_window, settings):
    made, frames, samples = make()
    assert len(made.reports) == 4
    assert frames.shape == (CLIP, 32, 32, 3)
    assert samples.shape == (1, replace(settings.geometry, num_frames=CLIP).num_samples)
    assert np.abs(frames[:WINDOW].astype(int) - first_window[0]).max() <= 1
    # What is heard behind the end of the window reaches a little back.
    assert np.abs(samples[:, :10_000] - first_window[1][:, :10_000]).max() < 1e-4
    assert made.calls.predictions == 4 * 2
    assert made.num_frames == CLIP


def test_windows_go_on_from_each_other(make):
    _, frames, _ = make()
    _, others, _ = make(later=[(0.6, "a cat")])
    same = [np.array_equal(one, other) for one, other in zip(frames, others, strict=True)]
    first_new = same.index(False)
    assert WINDOW <= first_new < CLIP
    assert not any(same[first_new + 4 :])


def test_reports_say_when_with_which_seed_and_prompt_each_window_was_made(make):
    made, _, _ = make(later=[(1.0, "a cat")])
    assert [report.prompt for report in made.reports] == ["a dog", "a dog", "a cat", "a cat"]
    assert [report.seed for report in made.reports] == [window_seed(3, index, 0) for index in range(4)]
    assert made.reports[0].seed == 3
    assert made.reports[-1].end_s == CLIP / 24.0


@pytest.mark.parametrize("method", ["continue", "joint"])
def test_an_interrupted_clip_goes_on_with_the_same_bits(make, pipe, settings, tmp_path, method):
    _, frames, samples = make(method=method)

    def store():
        return WindowStore(tmp_path / "windows", {"clip": "1"}, lambda note: pytest.fail(note))

    steps = []
    stopped = Control(is_stopped=lambda: len(steps) >= (3 if method == "continue" else 1))
    watch = Watch(on_step=lambda *step: steps.append(step))
    with pytest.raises(StoppedError):
        make(store=store(), watch=watch, control=stopped, method=method)
    again = []
    _, others, heard = make(store=store(), watch=Watch(on_step=lambda *step: again.append(step)), method=method)
    assert np.array_equal(others, frames)
    assert np.array_equal(heard, samples)
    if method == "continue":
        assert (0, 1) not in again


@pytest.fixture(scope="module")
def known(settings):
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (5, 32, 32, 3), np.uint8)
    return frames, (rng.random((1, 10_000)) - 0.5).astype(np.float32)


def test_a_clip_that_is_gone_on_from_comes_back_to_the_bit(make, known):
    made, frames, samples = make(known=known[0], known_audio=known[1], before=7)
    assert np.array_equal(frames[:5], known[0])
    # But for the last two latents, and the 30 ms in which it passes over into what is made.
    kept = (10_000 // 960 - 2) * 960 - 1440
    assert np.array_equal(samples[:, :kept], known[1][:, :kept])
    assert np.abs(samples[:, 10_000:]).max() > 0
    assert made.reports[0].begin_s == pytest.approx((7 + 5) / 24.0)


@pytest.mark.parametrize("length", [10_000, 30_000, 200_000])
def test_own_audio_is_kept_to_the_sample_and_what_follows_it_is_made(make, length):
    own = (np.random.default_rng(1).random((1, length)) - 0.5).astype(np.float32)
    _, _, samples = make(num_frames=25, known_audio=own[:, :50_000])
    kept = 50_000 if length > 50_000 else (length // 960 - 2) * 960 - 1440
    assert samples.shape == (1, 50_000)
    assert np.array_equal(samples[:, :kept], own[:, :kept])


def test_a_window_that_is_not_finite_is_made_again(make, pipe, monkeypatch):
    bad = {window_seed(3, 1, 0)}
    fail_for(pipe, monkeypatch, bad)
    made, frames, _ = make(retries=1)
    assert [len(report.attempts) for report in made.reports] == [0, 1, 0, 0]
    attempt = made.reports[1].attempts[0]
    assert (attempt.seed, attempt.found) == (window_seed(3, 1, 0), "not finite")
    assert made.reports[1].seed == window_seed(3, 1, 1)
    assert made.reports[1].record()["attempts"] == [{"seed": attempt.seed, "found": "not finite"}]
    assert len(frames) == CLIP


def test_where_no_seed_helps_the_clip_so_far_is_kept_and_said(make, pipe, monkeypatch, settings):
    fail_for(pipe, monkeypatch, {window_seed(3, 2, 0), window_seed(3, 2, 1)})
    made, frames, samples = make(retries=1)
    assert made.ended.startswith("the clip ends at 0.875 s: what follows is ")
    assert made.ended.endswith("(2 seeds were tried)")
    assert len(frames) == 21
    assert samples.shape == (1, replace(settings.geometry, num_frames=21).num_samples)


def test_a_first_window_that_is_never_finite_is_an_error(make, pipe, monkeypatch):
    fail_for(pipe, monkeypatch, {3, window_seed(3, 0, 1)})
    with pytest.raises(NumericalError):
        make(retries=1)


def test_a_flat_window_is_made_again_and_leaves_no_trace(make, monkeypatch):
    found = [None, Collapse("flat", 0.1, 0.1), None, None, None]
    monkeypatch.setattr(long_run, "find_collapse", lambda _: found.pop(0))
    made, frames, samples = make(retries=1)
    assert [len(report.attempts) for report in made.reports] == [0, 1, 0, 0]
    assert frames.shape[0] == CLIP
    assert np.isfinite(samples).all()


def fail_for(pipe, monkeypatch, seeds):
    """Let the loop of windows with these seeds end in numbers that are not finite."""
    whole = type(pipe).denoise

    def denoise(self, plan, text, start, **options):
        if start.seeds[0][0] in seeds:
            raise NumericalError("latents must stay finite")
        return whole(self, plan, text, start, **options)

    monkeypatch.setattr(type(pipe), "denoise", denoise)


def test_prompts_are_checked_before_anything_is_made(pipe, settings):
    inputs = LongInputs(prompts=PromptTrack.of("a", [(99.0, "b")]))
    with pytest.raises(ConfigError, match="prompt-at must lie in what is made"):
        LongRun(pipe, settings, plan_of(settings), inputs)
