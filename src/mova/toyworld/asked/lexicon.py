"""Words that several scenes share: colours, floors, sizes, sides, voices, numbers, in English and in Chinese.

What only one kind of scene knows stands beside that scene.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final


def several(**values: str) -> dict[str, str]:
    """Return what each word stands for.

    Args:
        values: words of each value, apart by bars.
    """
    return {word: value for value, words in values.items() for word in words.split("|")}


COLOUR_WORDS: Final[Mapping[str, str]] = several(
    red="red|scarlet|crimson|红色|红|赤色",
    yellow="yellow|golden|gold|黄色|黄|金色",
    green="green|emerald|绿色|绿|翠绿",
    blue="blue|navy|蓝色|蓝|深蓝",
    purple="purple|violet|紫色|紫",
)
# Colours that the world lacks, by the nearest one that it has; "" where none is near.
FOREIGN_COLOURS: Final[Mapping[str, str]] = several(
    yellow="orange|amber|beige|橙色|橘色|橙|橘黄|米色",
    red="pink|brown|maroon|rose|粉红|粉色|棕色|褐色|咖啡色|玫瑰色",
    blue="cyan|turquoise|teal|sky blue|light blue|indigo|青色|天蓝|浅蓝色|浅蓝|淡蓝",
    green="lime|olive|light green|mint|浅绿色|浅绿|橄榄色",
    purple="magenta|lilac|lavender|fuchsia|洋红|浅紫",
) | dict.fromkeys(("black", "white", "grey", "gray", "silver", "黑色", "白色", "灰色", "银色", "黑", "白", "灰"), "")

MATERIAL_WORDS: Final[Mapping[str, str]] = several(
    wood="wood|wooden|wooden floor|wooden table|table|table top|tabletop|desk|plank|planks|board floor|floorboards|"
    "parquet|hardwood|oak|timber|bamboo|木地板|木头|木板|木质|木制|木桌|木|桌子|桌面|桌|地板",
    metal="metal|metal plate|metallic|steel|iron|tin|copper|brass|aluminium|aluminum|sheet metal|anvil|"
    "金属板|金属|铁板|钢板|铁|钢|铜|铝",
    drum="drum|drum skin|drumhead|drum head|drums|bongo|tambourine|snare|snare drum|鼓面|大鼓|小鼓|鼓皮|鼓",
)
FOREIGN_MATERIALS: Final[Mapping[str, str]] = several(
    metal="glass|stone|concrete|ice|tile|tiles|tiled floor|brick|asphalt|porcelain|玻璃|石头|水泥|冰面|冰|瓷砖|砖",
    drum="grass|lawn|carpet|rug|sand|water|mud|snow|rubber floor|trampoline|leather|paper|"
    "草地|地毯|沙子|沙地|沙滩|水面|水里|泥|雪地|雪|蹦床|皮革|纸",
)
SIZE_WORDS: Final[Mapping[str, str]] = several(
    small="small|little|tiny|mini|小小的|小",
    medium="medium|medium-sized|middle-sized|中等|中号",
    large="large|big|huge|giant|great|巨大的|巨大|大",
)
# Words with the signs for large and small in them that say nothing of a size.
NO_SIZE: Final = ("大家", "大声", "小声", "小心", "大鼓", "小鼓", "小槌")
HEIGHT_WORDS_SAID: Final[Mapping[str, str]] = several(
    high="high up|from high|from a great height|from great height|from high above|high|高处|高空|很高|高高",
    medium="medium height|mid height|half way up|halfway up|半空",
    low="low down|from low|from a low height|low|低处|很低|低低",
)
SIDE_WORDS: Final[Mapping[str, str]] = several(
    left="left|on the left|left-hand|left one|左边|左侧|左面|左",
    right="right|on the right|right-hand|right one|右边|右侧|右面|右",
)
FIRST_WORDS: Final = ("first", "earlier", "先", "首先", "最先")
VOICE_WORDS: Final[Mapping[str, str]] = several(
    low="man|men|male|guy|boy|father|dad|grandfather|uncle|king|low voice|deep voice|deep|low|bass|"
    "男人|男子|男生|男孩|男的|男声|男|爸爸|爷爷|叔叔|低沉|低音|低声|粗嗓",
    high="woman|women|female|lady|girl|mother|mum|mom|grandmother|aunt|queen|child|kid|high voice|high-pitched|high|"
    "女人|女子|女生|女孩|女的|女声|女|妈妈|奶奶|阿姨|孩子|小孩|高音|尖细|尖声",
)
TWO_WORDS: Final = (
    "two",
    "2",
    "both",
    "a pair of",
    "pair",
    "couple",
    "两个",
    "两颗",
    "两只",
    "两张",
    "两位",
    "两人",
    "俩",
    "一对",
    "二人",
)
WALL_WORDS: Final = "wall|walls|background|backdrop|墙壁|墙面|墙|背景"
_NUMBERS: Final = "one two three four five six seven eight nine ten eleven twelve"
NUMBERS: Final[Mapping[str, int]] = {
    **{word: at for at, word in enumerate(_NUMBERS.split(), 1)},
    **{sign: at for at, sign in enumerate("一二三四五六七八九十", 1)},
    "两": 2,
    "twice": 2,
    "thrice": 3,
    "a dozen": 12,
}
RISING_WORDS: Final = (
    "ascending", "rising", "upwards", "from low to high", "lowest to highest", "from the lowest", "scale",
    "从低到高", "上行", "音阶", "由低到高",
)  # fmt: skip
FALLING_WORDS: Final = (
    "descending", "falling scale", "downwards", "from high to low", "highest to lowest", "from the highest",
    "从高到低", "下行", "由高到低",
)  # fmt: skip

_EMPTY: Final = """
a an and after against all along also another answer answers answering as at be before behind being by can clip
close colour color coloured colored does down each end every for from front goes going hand has have hear heard
her him his i image in into is it its lets let like make makes me more move moves moving near now of off on once
one ones onto or other out over own please play played playing plays short show showing shown shows side so some
somebody someone something sound sounds start starts that the their them then there these they this those
through time times to top toward towards turn under until up upon us using very video want was we were when
where which while who with you your whose he she comes come beside next again just really hits hit reply replies
replying made lands land landing highest lowest bar bars note notes tone tones scene called named about are am
my our floor ground above below between respectively different same wears wearing dressed lying standing sitting
twice thrice rubber melody tune
"""
EMPTY_WORDS: Final = frozenset(_EMPTY.split())
EMPTY_SIGNS: Final = frozenset(
    "的了着过一个在是有上下里中和与及又再后然先最前边面地得把被从到往向用给让也都就还很这那它他她们之其以而于处色"
    "请想要我你来去出起会能可只条颗张位次声音发响听见看场景视频画做成生段依分别各自同时正接每并且则首"
    "两三四五六七八九十另外人说对回答弹"
)
