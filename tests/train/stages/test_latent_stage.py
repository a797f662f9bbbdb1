"""How the samples of a step are split."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch

from mova.data.batch import ClipFacts, LatentBatch
from mova.distributed.mesh import ALONE, Parallel
from mova.errors import ConfigError, DataError
from mova.media.write import write_clip
from mova.train.config import RunConfig
from mova.train.stages.latent_stage import OpenSplits, StepParts, condition_of, held_out_groups, noise_of, prompts_of
from mova.train.steps.draws import StepDraws
from mova.types import Clip

CPU = torch.device("cpu")


class Numbers:
    """Clips that hold their own number."""

    frame_rate = 24.0
    null_prompt = torch.full((2, 3), -1.0)

    def __init__(self, count=12):
        self.facts = [ClipFacts(f"clip {i}", i % 2, has_audio=i % 3 > 0) for i in range(count)]

    def batch(self, indices, step=0):  # noqa: ARG002
        values = torch.tensor(indices, dtype=torch.float32)
        grid = values.view(-1, 1, 1, 1, 1).expand(-1, 2, 3, 1, 1)
        return LatentBatch(
            keys=tuple(self.facts[i].key for i in indices),
            bucket=self.facts[indices[0]].bucket,
            video=grid,
            condition=grid + 100,
            mask=torch.ones(len(indices), 4, 3),
            audio=values.view(-1, 1, 1).expand(-1, 2, 5),
            prompts=values.view(-1, 1, 1).expand(-1, 2, 3),
            video_counted=torch.ones(len(indices), 3),
            audio_counted=torch.ones(len(indices), 5),
        )

    def white_condition(self, bucket):  # noqa: ARG002
        return torch.full((2, 3, 1, 1), 7.0)


def parts(batch_size=6, micro=None, **parallel):
    return StepParts(Numbers(), RunConfig(max_steps=1, batch_size=batch_size, micro_batch=micro), Parallel(**parallel))


def test_any_split_sees_the_same_samples_with_the_same_noise():
    def gather(*splits):
        keys, noise = {}, {}
        for split in splits:
            for part in split.of(3):
                drawn = noise_of(part, seed=0, step=3, device=CPU)
                for row, place in enumerate(range(part.places.start, part.places.stop)):
                    keys[place], noise[place] = part.batch.keys[row], drawn.video[row]
        return keys, noise

    keys, noise = gather(parts())
    assert sorted(keys) == list(range(6))
    assert [keys[place] for place in range(6)] == parts().keys(3)
    for split in (
        [parts(micro=2)],
        [parts(shard=2, rank=rank) for rank in range(2)],
        [parts(micro=1, replicate=3, ulysses=2, rank=2 * rank) for rank in range(3)],
    ):
        others, other_noise = gather(*split)
        assert others == keys
        assert all(torch.equal(other_noise[place], noise[place]) for place in range(6))


def test_processes_that_share_a_sample_have_the_same_parts():
    one, other = (parts(shard=2, ring=2, rank=rank) for rank in (2, 3))
    assert [part.batch.keys for part in one.of(0)] == [part.batch.keys for part in other.of(0)]
    assert [part.places for part in one.of(0)] == [slice(3, 6)]


def test_counts_are_those_of_the_whole_step():
    split = parts(shard=2, rank=1)
    heard = [int(key.split()[1]) % 3 > 0 for key in split.keys(2)]
    assert (split.counts(2).video, split.counts(2).audio) == (6, sum(heard))


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (
            {"batch_size": 7, "shard": 2},
            "multiple of the 2 processes .*, got 7; nearest are 6 and 8",
        ),
        ({"batch_size": 1, "shard": 2}, "nearest are 2 and 2"),
        ({"batch_size": 6, "micro": 4}, "must divide the 6 samples of a process, got 4; nearest is 3"),
    ],
)
def test_sizes_that_do_not_divide_are_explained(settings, text):
    with pytest.raises(ConfigError, match=text):
        parts(**settings)


def test_what_is_left_out_is_replaced():
    batch = Numbers().batch([1, 3, 5])
    no = torch.zeros(3, dtype=torch.bool)
    draws = StepDraws(torch.zeros(3), torch.zeros(3), no, no, no, True)
    assert torch.equal(prompts_of(batch, draws, Numbers.null_prompt), batch.prompts)
    plain = condition_of(batch, draws, torch.zeros(2, 3, 1, 1))
    assert plain.shape == (3, 6, 3, 1, 1)
    assert torch.equal(plain[:, 4:], batch.condition)
    second = torch.tensor([False, True, False])
    third = torch.tensor([False, False, True])
    dropped = dataclasses.replace(draws, no_text=second, no_image=second, white_image=third)
    assert prompts_of(batch, dropped, Numbers.null_prompt)[:, 0, 0].tolist() == [1, -1, 5]
    condition = condition_of(batch, dropped, Numbers().white_condition(1))
    assert condition[:, 4].flatten(1).mean(1).tolist() == [101, 0, 7]
    assert condition[:, 0, :, 0, 0].tolist() == [[1, 1, 1], [0, 0, 0], [1, 0, 0]]


@pytest.mark.parametrize(
    ("count", "micro", "sizes"),
    [(70, None, [32, 32, 6]), (33, None, [32, 1]), (5, 1, [2, 3]), (6, 2, [2, 2, 2]), (9, 4, [4, 5]), (1, 1, [1])],
)
def test_a_validation_computes_no_more_at_once_than_a_step_has_room_for(count, micro, sizes):
    members = list(range(10, 10 + count))
    groups = held_out_groups(members, micro)
    assert [len(group) for group in groups] == sizes
    assert [index for group in groups for index in group] == members


def write_clips(folder, names, seed=0):
    """Write short clips of noise with sound, and their list."""
    folder.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(seed)
    for name in names:
        frames = draw.integers(0, 256, (9, 32, 32, 3), dtype=np.uint8)
        waveform = draw.uniform(-0.5, 0.5, (1, 6000)).astype(np.float32)
        write_clip(folder / name, Clip(frames, waveform, 24.0, 16_000))
    entries = [{"video_path": name, "caption": f"caption of {name}"} for name in names]
    (folder / "metadata.json").write_text(json.dumps(entries))


def test_a_run_goes_on_with_the_same_clips_wherever_they_are_and_with_no_others(tmp_path, make_config):
    names = [f"{letter}.mp4" for letter in "abcdef"]
    write_clips(tmp_path / "one", names)

    def splits(folder):
        data = {
            "source": "metadata",
            "path": str(folder / "metadata.json"),
            "sizes": ["32x32"],
            "num_frames": 9,
            "min_frames": 5,
            "validation_clips": 2,
            "workers": 1,
        }
        config = make_config("tiny_lora", tmp_path / "model", "encoders=mova-tiny", f"data={json.dumps(data)}")
        return OpenSplits(config, tmp_path / "cache", torch.device("cpu"), ALONE)

    first = splits(tmp_path / "one")
    position = json.loads(json.dumps(first.position(3)))
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    splits(tmp_path / "two").check(position)

    trained = [fact.key for fact in first.train.facts]
    entries = json.loads((tmp_path / "two" / "metadata.json").read_text())
    for entry in entries:
        if entry["video_path"] == trained[1]:
            entry["caption"] = "another"
    (tmp_path / "two" / "metadata.json").write_text(json.dumps(entries))
    with pytest.raises(DataError, match=rf"1 with another caption \({trained[1]}\)"):
        splits(tmp_path / "two").check(position)

    shutil.copytree(tmp_path / "one", tmp_path / "three")
    write_clips(tmp_path / "other", names, seed=1)
    shutil.copy(tmp_path / "other" / trained[0], tmp_path / "three" / trained[0])
    with pytest.raises(DataError, match="the clips must be those that the run learned from"):
        splits(tmp_path / "three").check(position)

    other = position | {"encoders": position["encoders"] | {"text encoder": "0" * 64}}
    with pytest.raises(DataError, match="got other weights of text encoder"):
        first.check(other)
