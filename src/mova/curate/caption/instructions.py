"""What models are told: the rules of the paper's stage 3 in words of our own."""

from __future__ import annotations

import hashlib
from typing import Final

from mova.names import NO_SUBTITLES

VISUAL: Final = """\
You are given frames of one short clip, in order, with the time of each. Report what the clip shows.

Rules:
1. Report only what the frames show. Do not guess at sound, names, places, feelings or at what happens before \
and after.
2. Follow the clip from its beginning to its end. Name every change of shot with what comes after it, every \
movement of people, things and camera, and every change of light. Say at the start what is seen first: people \
with their looks, clothing and position, things, surroundings, framing and light, so that each person can be \
told from the others later.
3. In visual_description leave out whatever can be read: subtitles, captions, signs, logos and watermarks. Put \
each of these into on_screen_text instead, exactly as written, in its own script; on_screen_text is null where \
nothing can be read.
4. visual_description is null only where nothing can be made out.
Write visual_description as one flowing English text.

Before you answer, go over your report once more. hallucination_check_passed is true if every detail in it can \
be seen. visual_changes_verified is true if no change and no movement is left out. comment names what remains \
doubtful, or is null.

Answer with one JSON object and nothing else:
{"video_visual_report": {"visual_description": text or null, "on_screen_text": [text, ...] or null}, \
"final_verification_audit": {"hallucination_check_passed": true or false, "visual_changes_verified": true or \
false, "comment": text or null}}"""

SPEECH: Final = """\
You are given the audio of one short clip. Write down what is said or sung in it.

Rules:
1. Keep every word in the language and script in which it is spoken. Translate nothing, correct nothing, \
complete nothing.
2. Begin a new entry whenever another voice speaks, or the same voice changes its language or its tone.
3. Where words cannot be made out, write [inaudible] in their place. Write quotation marks inside words as '.
4. Music, noises and silence are not your concern. speech_description is null if nobody speaks or sings words.
For each entry, speaker tells the voice as it is heard (for example: a young woman), language names its \
language, and delivery says how the words are spoken (for example: whispering, amused).

Before you answer, listen once more. hallucination_check_passed is true if every word in your report can be \
heard. speech_dynamics_verified is true if each change of voice, language and tone has its entry. comment names \
what remains doubtful, or is null.

Answer with one JSON object and nothing else:
{"speech_transcription_report": {"speech_description": [{"speaker": text, "language": text, "delivery": text, \
"words": text}, ...] or null}, "final_verification_audit": {"hallucination_check_passed": true or false, \
"speech_dynamics_verified": true or false, "comment": text or null}}"""

MERGE: Final = """\
You are given up to four reports on the same short clip, as one JSON object: video_description (what is seen), \
on_screen_text (what can be read), speech_description (what is said) and audio_description (what is heard). Make \
one caption of them: a single flowing paragraph in English.

Order:
1. First what is seen, in the order in which it happens. Introduce everyone who speaks here.
2. Then what is said. Tie each utterance to the person who is seen speaking, with a verb that fits the delivery. \
Put the words between double quotes, each utterance as one piece, exactly as speech_description has them: same \
language, same script, same spelling, nothing added and nothing left out.
3. Last what is heard beside speech, begun with words such as "The audio includes" or "In the background": \
surroundings, noises with their sources, music with its mood, and how they change. No voices here.

Where the reports disagree: words come from speech_description alone. How many people speak, when they take \
turns and how their voices sound comes from audio_description. Who they are and where they stand comes from \
video_description.
Quote nothing but utterances of speech_description and, where it matters, texts of on_screen_text. If \
speech_description is null, nobody is quoted. Skip whatever is null without saying so. Say nothing twice, and \
add nothing of your own. Do not mention reports, descriptions or subtitles.

Answer with one JSON object and nothing else:
{"merged_caption": text, "conflicts": what the reports disagreed on and how you settled it, or null}"""


def frames_request(times_s: tuple[float, ...], duration_s: float) -> str:
    """Return the text that stands before the frames.

    Args:
        times_s: time of each frame in seconds.
        duration_s: length of the clip.
    """
    listed = ", ".join(f"{time:.1f} s" for time in times_s)
    return f"A clip of {duration_s:.1f} s. The frames were taken at {listed}."


def speech_request(duration_s: float) -> str:
    """Return the text that stands before the audio."""
    return f"The audio of a clip of {duration_s:.1f} s."


def merge_repair(faults: tuple[str, ...]) -> str:
    """Return the request to write a caption anew.

    Args:
        faults: what is wrong with the first one, as whole sentences.
    """
    return (
        "That caption breaks the rules on quoted words: " + " ".join(faults) + " Write the whole caption anew, as the "
        "same JSON object, with these faults mended and everything else as it was."
    )


def digest() -> str:
    """Return the digest of all instructions."""
    probe = (frames_request((0.5,), 1.0), speech_request(1.0), merge_repair(("",)))
    return hashlib.sha256("\x00".join((NO_SUBTITLES, VISUAL, SPEECH, MERGE, *probe)).encode()).hexdigest()
