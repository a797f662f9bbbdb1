"""Which clips of a list are kept for validation: whole files, so that nothing held out is learned from."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from mova.data.sources.base import digest
from mova.data.sources.items import MediaItem
from mova.data.sources.scan import Scanned
from mova.errors import DataError

logger = logging.getLogger(__name__)

Found = tuple[MediaItem, Scanned]
# Larger shares for validation are told of.
_USUAL_SHARE = 0.25
# A validation compares a clip with another.
_LEAST = 2


def held_out(clips: Sequence[Found], count: int, *, tell: bool = True) -> frozenset[int]:
    """Return the places of the clips that are kept for validation.

    All captions of a file, and all files of one content, are on one side. Files with the smallest hashes of their names
    are held out, as many as are whole within `count` clips; of a path the last part counts, so that a file stays on its
    side wherever it lies and however a list writes that. Where one content is too many of the clips for that, names
    decide alone, and among the captions of a single file nothing but their places; it is said then.

    Args:
        clips: clips of the whole list.
        count: clips to keep for validation.
        tell: whether to warn of a split that is not as it should be.

    Raises:
        DataError: nothing would be left to learn from.
    """
    if len(clips) <= count:
        hint = f"; nearest is data.validation_clips={len(clips) - 1}" if len(clips) > _LEAST else ""
        raise DataError(
            f"there must be more clips than the {count} kept for validation (data.validation_clips), got {len(clips)} "
            f"that can be used{hint}"
        )
    by_content, by_name = _groups(clips, lambda found: found[1].sha256), _groups(clips, lambda found: found[0].place)
    held, shared = _whole_groups(by_content, count), ""
    if not _is_enough(held, count) and len(by_content) < len(by_name):
        held = _whole_groups(by_name, count)
        shared = f"{len(by_name)} files hold {len(by_content)} different contents, too few to keep apart"
    if not _is_enough(held, count):
        # Files of many captions each: the one with the fewest.
        held = min(by_content if len(by_content) > 1 else by_name, key=len)
    if len(held) == len(clips):
        held = sorted(range(len(clips)), key=lambda place: digest(clips[place][0].caption, place))[:count]
        shared = f"{len(clips)} captions are of one file ({clips[0][0].key})"
    if tell and shared:
        logger.warning("%s: validation sees what is learned from; add other files", shared)
    if tell and len(held) > _USUAL_SHARE * len(clips):
        logger.warning(
            "validation takes %d of %d clips, which leaves %d to learn from (data.validation_clips)",
            len(held),
            len(clips),
            len(clips) - len(held),
        )
    return frozenset(held)


def _is_enough(held: Sequence[int], count: int) -> bool:
    return 2 * len(held) >= count and len(held) >= _LEAST


def _groups(clips: Sequence[Found], of: Callable[[Found], str]) -> list[list[int]]:
    """Return the places of clips that belong together, in the order of the smallest hash of their names."""
    groups: dict[str, list[int]] = {}
    for place, found in enumerate(clips):
        groups.setdefault(of(found), []).append(place)

    def order(places: Sequence[int]) -> tuple[str, str]:
        # Files of one name in different folders are told apart by what they hold.
        return min(digest(_name(clips[place][0])) for place in places), clips[places[0]][1].sha256

    return sorted(groups.values(), key=order)


def _name(item: MediaItem) -> str:
    return item.path.name if item.offset is None else item.key


def _whole_groups(groups: Sequence[Sequence[int]], count: int) -> list[int]:
    held: list[int] = []
    for group in groups:
        if len(held) + len(group) <= count:
            held += group
    return held
