"""How people would like a video and how well it does what its prompt says: VideoReward."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mova.errors import ConfigError
from mova.files.json_file import Fields, read_object
from mova.scorers.base import (
    Absence,
    Direction,
    Findings,
    Measure,
    Needs,
    Score,
    WeightsFile,
    all_absent,
    score_each,
)
from mova.scorers.clip_media import ClipMedia

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from mova.scorers.networks.video_reward import VideoRewardNetwork

_SOURCE: Final = ("KlingTeam/VideoReward", "Apache-2.0")
WEIGHTS: Final = WeightsFile("video_reward/model.pth", *_SOURCE)
SETTINGS: Final = WeightsFile("video_reward/model_config.json", *_SOURCE)
TOKENIZER: Final = WeightsFile("video_reward/tokenizer.json", *_SOURCE)
BASE: Final = WeightsFile("video_reward/config.json", "Qwen/Qwen2-VL-2B-Instruct", "Apache-2.0")
TEMPLATE: Final = WeightsFile("video_reward/prompt_template.py", "KwaiVGI/VideoAlign", "MIT")
AXES: Final = ("VQ", "MQ", "TA")
TEMPLATE_NAME: Final = "DETAILED_PROMPT_WITH_SPECIAL_TOKEN"
_PLACE_OF_PROMPT: Final = "{text_prompt}"
_VIDEO: Final = "<|video_pad|>"
_BEFORE: Final = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n<|vision_start|>"
_BEHIND: Final = "<|vision_end|>{}<|im_end|>\n<|im_start|>assistant\n"
_OTHERWISE: Final = {"reward_token": "special", "output_dim": 1, "use_special_tokens": True}


@dataclass(frozen=True)
class RewardSettings:
    """What belongs to the published weights beside them.

    Attributes:
        frame_rate: frames per second that are looked at.
        most_pixels: of a frame.
        means: of the raw rewards, in the order of `AXES`.
        spreads: of the raw rewards.
        rank: of the adapters.
        scale: of the adapters.
    """

    frame_rate: float
    most_pixels: int
    means: tuple[float, ...]
    spreads: tuple[float, ...]
    rank: int
    scale: float

    def normalised(self, raw: Sequence[float]) -> tuple[float, ...]:
        """Return rewards as numbers of spreads above the mean."""
        parts = zip(raw, self.means, self.spreads, strict=True)
        return tuple((value - mean) / spread for value, mean, spread in parts)


class VideoRewardScorer:
    """Rewards of VideoReward, z-normalised by the published means and spreads, and their sum.

    The text that asks for them is read out of the file of the original project, as data.

    Args:
        folder: with the files; None where there is none.
    """

    name = "video_reward"
    measures = (
        Measure("video_reward_vq", "", Direction.HIGHER, "VideoReward: visual quality, 0 for an average video."),
        Measure("video_reward_mq", "", Direction.HIGHER, "VideoReward: quality of motion, 0 for an average video."),
        Measure("video_reward_ta", "", Direction.HIGHER, "VideoReward: fit to the prompt, 0 for an average video."),
        Measure("video_reward_overall", "", Direction.HIGHER, "VideoReward: sum of its three measures."),
    )
    needs = Needs(frames=True, prompt=True, weights=(WEIGHTS, SETTINGS, TOKENIZER, BASE, TEMPLATE))

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def score(self, clips: Sequence[ClipMedia]) -> list[Findings]:
        """Return the rewards of each clip with a prompt and two frames."""
        return score_each(self, clips, self._find)

    def check_weights(self) -> None:
        """See `CheckedScorer`."""
        if self._folder is not None:
            _read_judge(self._folder)

    def _find(self, clip: ClipMedia) -> Findings:
        from mova.scorers.front_ends.qwen_video import LEAST_FRAMES

        if self._folder is None:
            raise FileNotFoundError("no folder of weights is named")
        if not clip.prompt.strip():
            return all_absent(self.measures, Absence.NOT_APPLICABLE, "the clip has no prompt")
        if clip.num_frames < LEAST_FRAMES:
            return all_absent(self.measures, Absence.NOT_APPLICABLE, "the clip has a single frame")
        found = open_judge(self._folder).rewards(clip)
        names = [measure.name for measure in self.measures]
        return Findings({name: Score.of(value) for name, value in zip(names, (*found, sum(found)), strict=True)})


@dataclass(frozen=True)
class Judge:
    """The network with all that belongs to it.

    Attributes:
        network: with weights.
        tokenizer: with the marks.
        settings: of the weights.
        template: text with a place for the prompt.
    """

    network: VideoRewardNetwork
    tokenizer: Tokenizer
    settings: RewardSettings
    template: str

    def rewards(self, clip: ClipMedia) -> tuple[float, ...]:
        """Return the normalised rewards of a clip in the order of `AXES`."""
        import torch

        from mova.scorers.front_ends import qwen_video
        from mova.scorers.front_ends.resize import resized
        from mova.scorers.published.dover import frames_at
        from mova.scorers.published.networks import device_of

        places = qwen_video.frame_places(clip.num_frames, clip.frame_rate, self.settings.frame_rate)
        size = qwen_video.frame_size(clip.info.video.display_size, self.settings.most_pixels)
        patches, grid = qwen_video.patches(resized(frames_at(clip, places), size, mode="bicubic"))
        before, behind = (self._tokens(text) for text in (_BEFORE, self.question(clip.prompt)))
        ids = [*before, *[self._token(_VIDEO)] * grid.tokens, *behind]
        device = device_of(self.network)
        with torch.inference_mode():
            raw = self.network(
                torch.tensor(ids, device=device),
                patches.to(device),
                grid,
                qwen_video.token_places(len(before), grid, len(behind)).to(device),
                self.marks,
            )
        return self.settings.normalised(raw.tolist())

    def question(self, prompt: str) -> str:
        """Return what follows the video: the template with a prompt in its place."""
        return _BEHIND.format(self.template.replace(_PLACE_OF_PROMPT, prompt))

    @property
    def marks(self) -> tuple[int, ...]:
        """Tokens at which rewards are read."""
        from mova.scorers.networks.video_reward import MARKS

        return tuple(self._token(mark) for mark in MARKS)

    def _tokens(self, text: str) -> list[int]:
        return list(self.tokenizer.encode(text, add_special_tokens=False).ids)

    def _token(self, text: str) -> int:
        token = self.tokenizer.token_to_id(text)
        if token is None:
            raise ConfigError(f"the tokenizer of VideoReward must know {text}, it does not")
        return int(token)


@lru_cache(maxsize=1)
def open_judge(folder: Path) -> Judge:
    """Return the network with its weights and all that belongs to it; nothing in the files is executed.

    Args:
        folder: with the five files.

    Raises:
        ConfigError: a file is not there, or is not what it should be.
    """
    from mova.scorers.published.networks import on_device

    judge = _read_judge(folder)
    return replace(judge, network=on_device(judge.network))


def _read_judge(folder: Path) -> Judge:
    settings = read_settings(folder / SETTINGS.name)
    template = read_template(folder / TEMPLATE.name)
    tokenizer = _read_tokenizer(folder / TOKENIZER.name)
    network = _read_network(folder, settings, tokenizer.get_vocab_size(with_added_tokens=True))
    return Judge(network, tokenizer, settings, template)


def read_settings(path: Path) -> RewardSettings:
    """Return the settings of a model_config.json.

    Raises:
        ConfigError: it is not there, or asks for another way of judging.
    """
    whole = read_object(path, error=ConfigError)
    data, model, adapters, normal = (
        _part(whole, name) for name in ("data_config", "model_config", "peft_lora_config", "inference_config")
    )
    asked = {"eval_dim": list(AXES), "prompt_template_type": "detailed_special", "sample_type": "uniform"}
    for part, wanted in ((data, asked), (model, _OTHERWISE)):
        for name, only in wanted.items():
            if part.values.get(name, only) != only:
                raise ConfigError(f"{part.where} must have {name} {only!r}, got {part.values[name]!r}")
    rank = adapters.integer("lora_r", 16, least=1, most=4096)
    root = rank**0.5 if adapters.flag("use_rslora", default=False) else rank
    return RewardSettings(
        data.number("fps", 2.0, least=0.01, most=1000.0),
        data.integer("max_frame_pixels", least=28 * 28, most=2**26),
        tuple(normal.number(f"{axis}_mean") for axis in AXES),
        tuple(normal.number(f"{axis}_std", least=1e-9) for axis in AXES),
        rank,
        adapters.integer("lora_alpha", 32, least=1, most=65_536) / root,
    )


def _part(whole: Fields, name: str) -> Fields:
    values = whole.values.get(name)
    if not isinstance(values, Mapping):
        raise ConfigError(f"{whole.where} must have an object {name}, got {type(values).__name__}")
    return Fields(values, f"{whole.where}: {name}", ConfigError)


def read_template(path: Path) -> str:
    """Return the text that asks for rewards out of the original's prompt_template.py, which is parsed and not run.

    Raises:
        ConfigError: it is not there, or has no such text with its marks and a place for the prompt.
    """
    from mova.scorers.networks.video_reward import MARKS

    rule = f"{path} must be prompt_template.py of KwaiVGI/VideoAlign with the text {TEMPLATE_NAME}"
    try:
        parsed = ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError) as error:
        raise ConfigError(f"{rule}, it cannot be read: {error}") from error
    texts = [
        node.value.value
        for node in parsed.body
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
        and any(isinstance(target, ast.Name) and target.id == TEMPLATE_NAME for target in node.targets)
    ]
    if len(texts) != 1 or any(texts[0].count(part) != 1 for part in (*MARKS, _PLACE_OF_PROMPT)):
        raise ConfigError(f"{rule}, with {', '.join(MARKS)} and {_PLACE_OF_PROMPT} once each; it has none")
    return texts[0]


def _read_tokenizer(path: Path) -> Tokenizer:
    from tokenizers import Tokenizer

    from mova.scorers.networks.video_reward import MARKS

    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # what the package raises is of no class of its own
        raise ConfigError(f"{path} must be a tokenizer.json, it cannot be read: {str(error)[:200]}") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    # The file of VideoReward knows the marks already; that of Qwen2-VL gets them behind its own, as in training.
    tokenizer.add_special_tokens([mark for mark in MARKS if tokenizer.token_to_id(mark) is None])
    return tokenizer


def _read_network(folder: Path, settings: RewardSettings, vocabulary: int) -> VideoRewardNetwork:
    import torch
    from transformers import Qwen2VLConfig

    from mova.scorers.networks.video_reward import Adapters, VideoRewardNetwork
    from mova.scorers.published.files import load_published

    stated = read_object(folder / BASE.name, error=ConfigError)
    if stated.values.get("model_type") != "qwen2_vl":
        raise ConfigError(f"{stated.where} must be of model_type 'qwen2_vl', got {stated.values.get('model_type')!r}")
    rows = {"vocab_size": vocabulary}
    inner = stated.values.get("text_config")
    # The published file is of before transformers had a section for the text.
    changed = {"text_config": {**inner, **rows}} if isinstance(inner, Mapping) else rows
    config = Qwen2VLConfig.from_dict({**stated.values, **changed})
    dtype = torch.bfloat16
    with torch.device("meta"):
        network = VideoRewardNetwork(config, Adapters(settings.rank, settings.scale), dtype)
    load_published(network, folder / WEIGHTS.name, prefixes=("base_model.model.",), ignored=VideoRewardNetwork.unused)
    return network
