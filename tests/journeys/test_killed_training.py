"""A training run that is killed without a word, again and again, ends with the bits of one that was left alone."""

import json
import os
import subprocess
import sys

import pytest

# Children are forked after the imports, so that most of their short lives is training and saving.
SCRIPT = """
import json, os, random, signal, sys, time
from pathlib import Path
import torch
from torch import nn
from mova.train.config import OptimizerConfig, RunConfig
from mova.train.optimizer import ParameterGroup
from mova.train.stages.seeded import SeededStage
from mova.train.trainer import Trainer, step_generator

torch.set_num_threads(1)
STEPS = 150

class Stage(SeededStage):
    name = "net"
    def __init__(self, exported):
        torch.manual_seed(0)
        self.net, self.exported = nn.Sequential(nn.Linear(32, 256), nn.Dropout(0.1), nn.Linear(256, 1)), exported
        self.modules = {"net": self.net}
    def parameter_groups(self):
        return [ParameterGroup("net", list(self.net.parameters()))]
    def losses(self, step, progress):
        points = torch.rand(16, 32, generator=step_generator(0, step))
        yield {"loss": (self.net(points)[:, 0] - points.sum(1)).square().mean()}
    def validate(self):
        return {"weight": float(self.net[0].weight[0, 0])}
    def export(self):
        torch.save(self.net.state_dict(), self.exported)

def train(folder):
    run = RunConfig(max_steps=STEPS, batch_size=16, device="cpu", log_every=5, checkpoint_every=1, ema_decay=0.9)
    Trainer(Stage(folder / "weights.pt"), run, OptimizerConfig(lr=1e-3, warmup_steps=5), folder).run()

def fork(folder):
    pid = os.fork()
    if pid == 0:
        try:
            train(folder)
        finally:
            os._exit(0)
    return pid

home, kills = Path(sys.argv[1]), int(sys.argv[2])
random.seed(int(sys.argv[3]))
os.waitpid(fork(home / "straight"), 0)
inside_save = steps_seen = 0
for _ in range(kills):
    pid = fork(home / "killed")
    time.sleep(random.uniform(0.02, 0.25))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    states = home / "killed" / "checkpoints"
    inside_save += any(path.name.endswith(".partial") for path in states.iterdir()) if states.is_dir() else 0
finished_early = (home / "killed" / "weights.pt").exists()
os.waitpid(fork(home / "killed"), 0)
one, other = (torch.load(home / name / "weights.pt", weights_only=True) for name in ("straight", "killed"))
log = [json.loads(line) for line in (home / "killed" / "log.jsonl").read_text().splitlines()]
print(json.dumps({
    "equal": all(torch.equal(one[key], other[key]) for key in one),
    "inside_save": inside_save,
    "resumed": sum(event["event"] == "resume" for event in log),
    "finished_early": finished_early,
}))
"""


@pytest.mark.parametrize("kills", [5, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_runs_end_with_the_same_bits(tmp_path, kills):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", SCRIPT, str(tmp_path), str(kills), "7"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["equal"]
    assert not found["finished_early"], "the kills came too late to show anything"
    assert found["resumed"] >= kills // 2
    if kills == 20:
        assert found["inside_save"] >= 3
