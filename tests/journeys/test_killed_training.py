"""A training run that is killed without a word, again and again, ends with the bits of one that was left alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

# Children are forked after the imports, so that most of their short lives is training and saving.
SCRIPT = """
import json, os, random, signal, sys, time
from pathlib import Path
import torch
from torch import nn
from mova.train.config import OptimizerConfig, RunConfig
from mova.train.loop.optimizer import ParameterGroup
from mova.train.stages.encoders.seeded import SeededStage
from mova.train.loop.trainer import Trainer, step_generator

torch.set_num_threads(1)
STEPS = 60 + 12 * int(sys.argv[2])

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

def reached():
    states = home / "killed" / "checkpoints"
    names = [path.name for path in states.iterdir()] if states.is_dir() else []
    return max((int(name[5:]) for name in names if name[5:].isdigit()), default=0)

home, kills = Path(sys.argv[1]), int(sys.argv[2])
random.seed(int(sys.argv[3]))
os.waitpid(fork(home / "straight"), 0)
inside_save = 0
for _ in range(kills):
    # Every run gets further than the one before it, however fast the machine is; then the blow falls at any moment.
    further = reached() + random.randint(1, 3)
    pid = fork(home / "killed")
    while reached() < further and not os.waitpid(pid, os.WNOHANG)[0]:
        time.sleep(0.001)
    time.sleep(random.uniform(0, 0.03))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    states = home / "killed" / "checkpoints"
    inside_save += any(path.name.endswith(".partial") for path in states.iterdir())
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


# Over all tests of this file that are slow.
KILLS = int(os.environ.get("MOVA_KILL_COUNT", "30"))


def run_script(script, *arguments):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("kills", [3, pytest.param(KILLS, marks=pytest.mark.slow, id="many")])
def test_killed_runs_end_with_the_same_bits(tmp_path, kills):
    found = run_script(SCRIPT, tmp_path, kills, 7)
    assert found["equal"]
    assert not found["finished_early"], "the kills came too late to show anything"
    assert found["resumed"] >= kills


# The whole command: a lock, clips that are encoded, states, weights. Moments are drawn over the time that a run takes.
COMMAND = """
import json, os, random, signal, sys, time
from pathlib import Path
import torch, yaml
sys.path.insert(0, sys.argv[4])
from shared_training import JOINT
from mova.cli.app import main
import mova.train.stages.joint

torch.set_num_threads(1)
home, kills = Path(sys.argv[1]), int(sys.argv[2])
random.seed(int(sys.argv[3]))
(home / "joint.yaml").write_text(yaml.safe_dump(JOINT | {"model": str(home / "unused" / "model")}))

def start(name):
    folder = home / name
    pid = os.fork()
    if pid == 0:
        code = 99
        try:
            os.dup2(os.open(home / "said.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
            os.dup2(2, 1)
            settings = [f"model={folder}/model", "run.max_steps=4", "run.checkpoint_every=1", "run.validate_every=2"]
            arguments = [text for one in settings for text in ("--set", one)]
            arguments += ["--resume", str(folder)] if folder.exists() else []
            code = main(["train", str(home / "joint.yaml"), *arguments])
        finally:
            os._exit(code)
    return pid

def finish(name):
    assert os.waitstatus_to_exitcode(os.waitpid(start(name), 0)[1]) == 0, (home / "said.txt").read_text()[-3000:]
    files = sorted((home / name / "model").rglob("*.safetensors"))
    return {str(path.relative_to(home / name)): path.read_bytes() for path in files}

began = time.monotonic()
straight = finish("straight")
whole_s = time.monotonic() - began
count, runs, equal, left = 0, 0, [], []
while count < kills:
    name = f"killed{runs}"
    while count < kills and not (home / name / "joint" / "done.json").exists():
        pid = start(name)
        time.sleep(random.uniform(0, 0.8 * whole_s))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        count += 1
    equal.append(finish(name) == straight)
    left += [path.name for path in (home / name).rglob("*.partial*")]
    runs += 1
print(json.dumps({"files": len(straight), "equal": equal, "kills": count, "left": left}))
"""


@pytest.mark.parametrize("kills", [2, pytest.param(KILLS, marks=pytest.mark.slow, id="many")])
def test_a_command_that_is_killed_at_any_moment_and_resumed_leaves_the_same_model(tmp_path, kills):
    found = run_script(COMMAND, tmp_path, kills, 11, Path(__file__).parents[1] / "shared")
    assert found["files"] == 4
    assert found["kills"] == kills
    assert all(found["equal"])
    assert found["left"] == []
