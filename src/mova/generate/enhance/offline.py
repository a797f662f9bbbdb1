"""The enhancer that asks nobody: the user's text in the order of the captions, with a paragraph on what is heard.

It invents nothing: sounds are named only where the text names their source, speech stays letter for letter as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from mova.generate.enhance.checks import count_words, has_open_quote, is_chinese, quoted_lines
from mova.generate.enhance.enhanced import Enhanced
from mova.names import NO_SUBTITLES

PROVIDER: Final = "offline"
_MOST_SOUNDS: Final = 4
# What is heard where a text names its source, English and Chinese; the texts are the project's own.
_SOUNDS: Final[Mapping[str, tuple[str, str]]] = {
    r"rain\w*|drizzl\w*|downpour|雨": ("the patter of rain", "雨声"),
    r"thunder\w*|storm\w*|打雷|雷声|雷|暴风雨": ("rolling thunder", "雷声"),
    r"wind\w*|breez\w*|gust\w*|风": ("wind", "风声"),
    r"waves?|ocean|seas?|surf\w*|beach\w*|海浪|浪|大海|海边|沙滩": ("waves that break and draw back", "海浪声"),
    r"rivers?|streams?|brooks?|creeks?|waterfalls?|河|溪|瀑布": ("running water", "流水声"),
    r"fires?|campfires?|flames?|burn\w*|fireplaces?|篝火|火焰|火堆|壁炉|燃烧": (
        "the crackle of a fire",
        "火焰的噼啪声",
    ),
    r"dogs?|pupp(?:y|ies)|bark\w*|狗|小狗": ("a dog", "狗的声音"),
    r"cats?|kittens?|meow\w*|purr\w*|猫": ("a cat", "猫的声音"),
    r"birds?|sparrows?|robins?|chirp\w*|鸟|小鸟|麻雀": ("birdsong", "鸟鸣"),
    r"horses?|gallop\w*|马蹄|骏马|马儿|骑马": ("the beat of hooves", "马蹄声"),
    r"cars?|traffic|trucks?|engines?|motorcycles?|buses|bus|汽车|车流|卡车|引擎|摩托": (
        "engines and tyres",
        "车辆的声音",
    ),
    r"trains?|locomotives?|railways?|subway|火车|地铁|列车": ("the rumble of a train", "列车行驶的声音"),
    r"crowds?|audience|market|applau\w*|cheer\w*|人群|观众|集市|欢呼|掌声": ("a crowd", "人群的声音"),
    r"walk\w*|footsteps?|run(?:s|ning)?|steps|走|跑|脚步": ("footsteps", "脚步声"),
    r"pianos?|钢琴": ("a piano", "钢琴声"),
    r"guitars?|吉他": ("a guitar", "吉他声"),
    r"violins?|小提琴": ("a violin", "小提琴声"),
    r"drums?|drummers?|打鼓|敲鼓|鼓手|鼓": ("drums", "鼓声"),
    r"sing\w*|songs?|choir|唱歌|歌声|合唱|唱": ("singing", "歌声"),
    r"laugh\w*|giggl\w*|笑": ("laughter", "笑声"),
    r"cry\w*|cries|sobs?|sobbing|哭": ("crying", "哭声"),
    r"bells?|chimes?|铃|钟声|敲钟": ("a bell", "铃声"),
    r"cook\w*|fry\w*|sizzl\w*|煎|炒": ("sizzling", "滋滋的煎炒声"),
    r"typ(?:es|ing)|keyboards?|打字|键盘": ("the click of keys", "敲击键盘的声音"),
    r"explo(?:de|sion)\w*|fireworks?|爆炸|烟花": ("loud blasts", "爆炸声"),
    r"clocks?|ticking|时钟|滴答": ("a ticking clock", "时钟的滴答声"),
    r"bounc\w*|balls?|弹跳|球": ("the thud of each bounce", "球每次落地的声音"),
    r"glass(?:es)?|玻璃": ("the clink of glass", "玻璃的清脆声"),
    r"doors?|门": ("a door", "开关门的声音"),
}
_HAS_AUDIO: Final = re.compile(
    r"(?:^|[.!?\n]\s*)(?:the\s+)?(?:audio|sound|soundtrack)\b[^.\n]*(?:shows|includes|contains|has|is|features|carries)"
    r"|音频中|声音是|背景音|可以听到",
    re.IGNORECASE,
)
# What stands shortly before a text that is read and not said.
_WRITTEN: Final = re.compile(
    r"\b(?:signs?|reads?|reading|written|writing|label(?:led|ed)?|titled?|text|logo|banner|poster|words|letters|caption)\b"
    r"[^.!?]*$|(?:写着|写有|印着|标着|牌子|招牌|标题|字样|标语|文字)[^。！？]*$",
    re.IGNORECASE,
)
_NEAR: Final = 40
_SENTENCE_ENDS: Final = '.!?…。！？"”」』'
_MOST_WORDS: Final = 250


def enhance_offline(text: str, *, no_subtitles: bool = False, most_words: int = _MOST_WORDS) -> Enhanced:
    """Return a text in the order of the captions that models learned: what is seen, then what is heard.

    Args:
        text: in any language; sounds are found in English and Chinese words.
        no_subtitles: whether the prompt says that there are none.
        most_words: of a prompt; a longer text stays as it is, and that is said.
    """
    problems = []
    if has_open_quote(text):
        problems.append("a quotation mark is never closed: what follows it counts as description, not as speech")
    seen = _paragraphs(text)
    if _HAS_AUDIO.search(_outside(text)):
        prompt = seen
    else:
        heard = _heard_chinese(text) if is_chinese(text) else _heard_english(text)
        prompt = f"{seen}\n\n{heard}"
    if no_subtitles and NO_SUBTITLES not in prompt:
        prompt = f"{NO_SUBTITLES} {prompt}"
    words = count_words(prompt)
    if words > most_words:
        problems.append(f"the prompt has {words} words, and models read best up to {most_words}: shorten the text")
    return Enhanced(prompt, text, problems=tuple(problems), provider=PROVIDER)


def _paragraphs(text: str) -> str:
    parts = [" ".join(part.split()) for part in re.split(r"\n\s*\n", text)]
    return "\n\n".join(map(_ended, filter(None, parts)))


def _ended(sentence: str) -> str:
    if sentence[-1] in _SENTENCE_ENDS:
        return sentence
    return sentence + ("。" if is_chinese(sentence) else ".")


def _outside(text: str) -> str:
    for line in quoted_lines(text):
        text = text.replace(line, " ")
    return text


def _sounds(text: str, language: int) -> list[str]:
    """Return what is heard of what a text names outside of its quotes, in the order in which it names it."""
    plain, found = _outside(text).lower(), dict[str, int]()
    for pattern, words in _SOUNDS.items():
        english, chinese = ("|".join(part) for part in _by_script(pattern))
        match = re.search(rf"(?<![a-z])(?:{english})(?![a-z])|{chinese}", plain)
        if match:
            found.setdefault(words[language], match.start())
    return sorted(found, key=lambda name: found[name])[:_MOST_SOUNDS]


def _by_script(pattern: str) -> tuple[list[str], list[str]]:
    parts = re.split(r"\|(?![^(]*\))", pattern)
    return [part for part in parts if part.isascii()], [part for part in parts if not part.isascii()]


def _spoken(text: str) -> list[str]:
    """Return quoted lines but those that stand written somewhere."""
    return [line for line in quoted_lines(text) if not _WRITTEN.search(text[: text.find(line)][-_NEAR:])]


def _heard_english(text: str) -> str:
    lines, sounds = _spoken(text), _sounds(text, 0)
    parts = []
    if lines:
        parts.append("the voice that says " + _listed([f'"{line}"' for line in lines], "and then"))
    if sounds:
        parts.append(_listed(sounds, "and"))
    if not parts:
        return "The audio shows the sounds of what is seen, each at the moment of its cause."
    return f"The audio shows {', with '.join(parts)}, each at the moment of its cause."


def _heard_chinese(text: str) -> str:
    lines, sounds = _spoken(text), _sounds(text, 1)
    parts = []
    if lines:
        parts.append("有人说" + "，接着说".join(f"“{line}”" for line in lines))
    if sounds:
        parts.append("、".join(sounds))
    if not parts:
        return "音频中可以听到画面里各种动作的声音，与动作同时发生。"
    return f"音频中可以听到{'，还有'.join(parts)}，与画面同时发生。"


def _listed(words: list[str], joint: str) -> str:
    return f"{', '.join(words[:-1])} {joint} {words[-1]}" if len(words) > 1 else words[0]
