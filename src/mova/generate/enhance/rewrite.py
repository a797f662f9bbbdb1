"""A user's text and a description of the first frame rewritten by a model, checked, and repaired once."""

from __future__ import annotations

from dataclasses import replace

from mova.endpoints.client import Client, Shared
from mova.endpoints.messages import Message, assistant, system, user
from mova.endpoints.outcomes import Outcome, Reply
from mova.endpoints.replies import declines
from mova.files.json_file import shorten_text
from mova.generate.enhance.calls import call_of
from mova.generate.enhance.checks import Source, find_faults, is_chinese
from mova.generate.enhance.enhanced import Call, CallEnd, FrameDescription
from mova.generate.enhance.instructions import material, repair, rewrite
from mova.generate.enhance.settings import EnhanceSettings, Language, TextSection


async def rewrite_text(
    text: str, frame: FrameDescription | None, settings: EnhanceSettings, shared: Shared
) -> tuple[str | None, list[Call]]:
    """Ask for a prompt; one that breaks the rules is asked to be written anew, once.

    Args:
        text: what the user wrote.
        frame: description of the first frame, if there is one.
        settings: with a section `text`.
        shared: what calls share.

    Returns:
        None where no prompt came that keeps the rules, and the calls.
    """
    section = settings.text
    assert section is not None, "callers ask only where a model is named"
    english = settings.language is Language.ENGLISH or not is_chinese(text)
    instruction = rewrite(english=english, most_words=settings.most_words)
    texts = frame.texts if frame else ()
    source = Source(text, texts, instruction, english, settings.most_words)
    messages = [system(instruction), user(material(text, frame, texts))]
    async with Client(section, shared) as client:
        prompt, faults, call = await _ask(client, section, messages, source, "text")
        if prompt is None or not faults:
            return prompt, [call]
        call = replace(call, end=CallEnd.FAULTY, detail=shorten_text(" ".join(faults), 400))
        messages += [assistant(prompt), user(repair(faults))]
        repaired, again, second = await _ask(client, section, messages, source, "repair")
    if repaired is None:
        return None, [call, second]
    if again:
        second = replace(second, end=CallEnd.FAULTY, detail=shorten_text(" ".join(again), 400))
        return None, [call, second]
    return repaired, [call, second]


async def _ask(
    client: Client, section: TextSection, messages: list[Message], source: Source, step: str
) -> tuple[str | None, tuple[str, ...], Call]:
    """Return a prompt (None without one), what is wrong with it, and the call."""
    reply = _judged(await client.chat(messages, step))
    call = call_of(step, section, reply)
    if reply.outcome is not Outcome.OK:
        return None, (), call
    prompt = "\n\n".join(" ".join(part.split()) for part in reply.text.strip().split("\n\n") if part.strip())
    return prompt, find_faults(reply.text.strip(), source), call


def _judged(reply: Reply) -> Reply:
    if reply.outcome is Outcome.OK and declines(reply.text):
        return replace(reply, outcome=Outcome.REFUSED, text="", detail=shorten_text(reply.text, 300))
    return reply
