"""Clips to be captioned, and models that caption them, for tests of stage 3."""

import numpy as np

from fake_endpoint import says, tells
from mova.curate.config.caption import CaptionSection
from mova.curate.records import ClipRecord, SourceRecord, WindowKind
from mova.curate.stage import Unit
from mova.media.write import write_clip
from mova.scorers.base import Score
from mova.types import Clip

SOURCE = SourceRecord("source", "a.mp4", "0" * 64, 10)
WORDS = "“Grüß Gott”, 你好 — I don't know!"
SEEN = "A man in a red coat stands at a window. At 0.5 s the shot changes to a street."
HEARD = "A calm male voice over soft rain."
MODELS = {"visual": "eyes", "speech": "ears", "audio": "taste", "merge": "pen"}


def write_media(path, *, silent=False):
    """A clip of a second with audio."""
    frames = np.zeros((24, 64, 96, 3), np.uint8)
    frames[:, :, :, 0] = np.arange(24)[:, None, None] * 10
    tone = np.sin(np.arange(48000) / 20)[None].astype(np.float32) * (0 if silent else 0.5)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_clip(path, Clip(frames, tone, 24.0, 48000), preset="ultrafast")


def clip(name="one", **more):
    """A record; by default somebody was heard to speak, and no text was found."""
    scores = {"speech_share": Score(0.9), "text_area": Score(0.0), **more.pop("scores", {})}
    values = {"path": "clips/one.mp4", "spans": {"speech": ((0.0, 1.0),)}, "num_frames": 24} | more
    return ClipRecord(name, "source", "a.mp4", WindowKind.SINGLE_SPEECH, 0.0, scores=scores, **values)


def unit(*clips):
    """A unit of these clips."""
    return Unit("unit-1", SOURCE, clips)


def section(fake, **more):
    """A recipe's section with all roles at the fake, each under the name of its model."""
    roles = {role: {"base_url": fake.base_url, "model": model, "timeout_s": 20} for role, model in MODELS.items()}
    for role in MODELS:
        roles[role] |= more.pop(role, {})
    return CaptionSection(**{"captioner": "endpoints", **roles} | more)


def visual(description=SEEN, texts=None, *, passed=True):
    """The answer of the model that looks."""
    audit = {"hallucination_check_passed": passed, "visual_changes_verified": True, "comment": None}
    part = {"visual_description": description, "on_screen_text": texts}
    return tells({"video_visual_report": part, "final_verification_audit": audit})


def speech(*words, passed=True):
    """The answer of the model that writes down."""
    said = [{"speaker": "a man", "language": "German", "delivery": "calm", "words": text} for text in words] or None
    audit = {"hallucination_check_passed": passed, "speech_dynamics_verified": True, "comment": None}
    return tells({"speech_transcription_report": {"speech_description": said}, "final_verification_audit": audit})


def merged(*words, start=SEEN, end="The audio includes soft rain."):
    """The answer of the model that writes."""
    quotes = " ".join(f'He says: "{text}".' for text in words)
    return tells({"merged_caption": f"{start} {quotes} {end}", "conflicts": None})


def plays(fake, **answers):
    """Let the fake answer each model in its way; an answer is one step, or several in order."""
    steps = {
        "visual": visual(),
        "speech": speech(WORDS),
        "audio": says(HEARD),
        "merge": merged(WORDS.replace("“", "").replace("”", "")),
    } | answers
    steps = {MODELS[role]: list(step) if isinstance(step, list) else [step] for role, step in steps.items()}

    def answer(body):
        waiting = steps[body["model"]]
        return (waiting.pop(0) if len(waiting) > 1 else waiting[0])(body)

    fake.reset(answer)


def asked(fake, role):
    """Bodies of the requests to the model of a role."""
    return [body for _, body, _ in fake.requests if body["model"] == MODELS[role]]
