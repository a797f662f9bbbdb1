"""The page of a report: sections in the order in which a reader asks."""

from __future__ import annotations

import json
from collections.abc import Mapping

from mova.curate.report.cards import example_card, spread_card
from mova.curate.report.data import PAPER_CUT, PAPER_CUT_SPEECH, PAPER_VERDICTS, ReportData, Tally
from mova.pages.charts import Segment, bar, stacked_bar
from mova.pages.document import document
from mova.pages.formats import count_text, counted_text, duration_text, percent_text
from mova.pages.html import Content, Html, element, joined, stranger
from mova.pages.parts import Tone, badge, facts, folded, note, tile
from mova.pages.tables import Cell, Column, table

_NAMES = {
    "sources": ("Sources", "file of footage", "files of footage"),
    "cut": ("Stage 1: cut", "window that was planned", "windows that were planned"),
    "score": ("Stage 2: score", "clip", "clips"),
    "verdicts": ("Stage 2: verdicts", "scored clip", "scored clips"),
    "caption": ("Stage 3: caption", "clip", "clips"),
}


def report_page(data: ReportData) -> str:
    """Return the report of a run as a page; clips are played from their paths beside it."""
    clips = [tally for name, tally in data.tallies.items() if name != "sources"]
    lead = (
        f"{counted_text(data.tallies['sources'].came_in, 'source')}, "
        f"{duration_text(data.seconds.get('sources', 0.0))} of footage; "
        f"{counted_text(clips[-1].kept if clips else 0, 'clip')} kept."
    )
    sections: list[tuple[str, str, Content]] = [
        ("retention", "What is left after each stage", _retention(data)),
        ("rejected", "Why clips were rejected", _rejections(data)),
        ("scores", "Scores", _scores(data)),
        ("examples", "Clips to look at", _examples(data)),
        ("captions", "Captions", _captions(data)),
        ("failures", "What failed", _failures(data)),
        ("settings", "Settings and versions", _settings(data)),
    ]
    return document("Report of a curation", lead, sections, top=_tiles(data))


def _tiles(data: ReportData) -> Html:
    tiles = [
        tile(duration_text(data.seconds["sources"]), "Footage", counted_text(data.tallies["sources"].came_in, "source"))
    ]
    for name, label in (("cut", "After stage 1"), ("verdicts", "After stage 2")):
        if name in data.seconds and name in data.tallies:
            number = counted_text(data.tallies[name].kept, "clip")
            tiles.append(tile(duration_text(data.seconds[name]), label, f"{number}, {percent_text(data.share(name))}"))
    if "caption" in data.tallies:
        kept = data.tallies["caption"].kept
        tiles.append(
            tile(count_text(kept), "Clips with a caption", f"of {count_text(data.tallies['caption'].came_in)}")
        )
    failed = sum(tally.failed for tally in data.tallies.values())
    tiles.append(tile(count_text(failed), "Failed", "sources and clips"))
    return element("div", tiles, class_="tiles")


def _retention(data: ReportData) -> Html:
    stages = [
        element(
            "div",
            element("h3", _NAMES[name][0]),
            element("p", f"{counted_text(tally.came_in, *_NAMES[name][1:])} came in", class_="soft"),
            stacked_bar(_segments(tally)),
        )
        for name, tally in data.tallies.items()
    ]
    counts = table(
        "Counts: in is kept, rejected and failed together, at every stage",
        ["Stage", *(Column(name, is_number=True) for name in ("In", "Kept", "Rejected", "Failed", "Kept of in"))],
        [
            (
                _NAMES[name][0],
                *(count_text(number) for number in (tally.came_in, tally.kept, tally.rejected, tally.failed)),
                percent_text(tally.kept / tally.came_in if tally.came_in else None),
            )
            for name, tally in data.tallies.items()
        ],
    )
    waiting = note(
        counted_text(data.waiting, "clip that is kept has no caption", "clips that are kept have no captions")
        + " yet; run the same command again.",
        tone=Tone.WARNING,
    )
    return joined(
        element("div", stages, class_="grid wide"),
        waiting if data.waiting else None,
        counts,
        _durations(data),
        _kinds(data),
    )


def _durations(data: ReportData) -> Html:
    rows = []
    for name, label, paper in (
        ("cut", "After stage 1", PAPER_CUT),
        ("cut_speech", "After stage 1, windows with speech", PAPER_CUT_SPEECH),
        ("verdicts", "After stage 2", PAPER_VERDICTS),
    ):
        if name in data.seconds:
            share = data.share(name)
            words = f"{label}: {percent_text(share)} of the footage; in the paper {percent_text(paper)}"
            rows.append(
                (
                    label,
                    duration_text(data.seconds[name]),
                    percent_text(share),
                    percent_text(paper),
                    bar(share or 0.0, words, Tone.GOOD, mark=paper),
                )
            )
    return table(
        "Duration that is left, as a share of all footage, beside the paper's (its line in the bar)",
        ["Stage", *(Column(name, is_number=True) for name in ("Duration", "Share", "Paper")), "Share and paper"],
        rows,
    )


def _kinds(data: ReportData) -> Html | None:
    if not data.kinds:
        return None
    return table(
        "Windows by kind, and what became of their clips up to the last stage",
        [
            "Kind",
            *(Column(name, is_number=True) for name in ("Windows", "Share", "Kept", "Rejected", "Failed")),
        ],
        [
            (
                kind.replace("_", " "),
                *(
                    _counted(tally.came_in),
                    percent_text(tally.came_in / sum(one.came_in for one in data.kinds.values())),
                ),
                *(_counted(number) for number in (tally.kept, tally.rejected, tally.failed)),
            )
            for kind, tally in data.kinds.items()
        ],
        sortable=True,
    )


def _rejections(data: ReportData) -> Html:
    parts: list[Content] = []
    came_in = data.tallies["verdicts"].came_in if "verdicts" in data.tallies else 0
    if data.gates:
        parts.append(
            table(
                f"Gates in their order, over {counted_text(came_in, 'clip')}",
                [
                    "Gate",
                    "Keeps",
                    *(Column(name, is_number=True) for name in ("Alone", "First", "Only this")),
                    "Removed alone",
                ],
                [
                    (
                        one.gate.name,
                        one.gate.text,
                        *(_counted(number) for number in (one.alone, one.first, one.only)),
                        Cell(_removed(one.alone, came_in), one.alone),
                    )
                    for one in data.gates
                ],
                sortable=True,
            )
        )
        parts.append(
            element(
                "p",
                "Alone: clips that do not pass the gate, so what it would remove if there were no other. First: clips "
                "of which it is the first gate that they do not pass. Only this: clips that pass all others.",
                class_="soft",
            )
        )
    parts += [
        _numbered("Other reasons why clips were rejected", "Reason", data.other_reasons),
        _sources(data),
        _idle_gates(data),
    ]
    if not any(part is not None for part in parts):
        parts.append(note("Nothing was rejected, and every gate applied to every clip.", tone=Tone.GOOD))
    return joined(*parts)


def _sources(data: ReportData) -> Html | None:
    if not data.source_reasons:
        return None
    rows = [
        (
            stranger(one.reason, 80),
            _counted(one.number),
            [element("p", stranger(file, 300), ": ", stranger(reason, 300)) for file, reason in one.named[:5]],
        )
        for one in data.source_reasons
    ]
    columns: list[Column | str] = ["Reason", Column("Sources", is_number=True), "The first of them"]
    return table("Why sources were rejected", columns, rows)


def _idle_gates(data: ReportData) -> Html | None:
    if not data.idle_gates:
        return None
    why = {spread.measure.name: spread.absences[0][0] for spread in data.spreads if spread.absences}
    rows = [
        (
            stranger(name, 300),
            _counted(number),
            _reasons_of(name.split(" or "), why) or "No scorer of this run measures it.",
        )
        for name, number in data.idle_gates
    ]
    columns: list[Column | str] = ["Gate", Column("Clips", is_number=True), "Why"]
    return table("Gates that did not apply, to how many clips, and why", columns, rows)


def _reasons_of(names: list[str], why: Mapping[str, str]) -> list[Html]:
    """Return why measures have no values; a single one needs no name."""
    heads = {name: f"{name}: " if len(names) > 1 else "" for name in names if name in why}
    return [element("p", head, stranger(why[name], 300)) for name, head in heads.items()]


def _removed(number: int, came_in: int) -> Html:
    share = number / came_in if came_in else 0.0
    return bar(share, f"{percent_text(share)} of the clips do not pass", Tone.BAD)


def _scores(data: ReportData) -> Html:
    there = [one for one in data.spreads if one.num_values]
    missing = [one for one in data.spreads if not one.num_values]
    lost = [
        (one.measure.name, one.measure.meaning, [element("p", stranger(reason)) for reason, _ in one.absences[:3]])
        for one in missing
    ]
    return joined(
        element("div", (spread_card(one) for one in there), class_="grid")
        if there
        else note("No clip has been scored."),
        table("Scores that no clip has, and why", ["Score", "What it says", "Why there is none"], lost)
        if lost
        else None,
    )


def _examples(data: ReportData) -> Html:
    parts: list[Content] = [
        element(
            "p",
            "A few of every kind that is kept and of every reason for rejection; for the same table always the same.",
            class_="soft",
        )
    ]
    for heading, examples in (("Kept", data.kept), ("Rejected", data.rejected)):
        parts.append(element("h3", heading))
        if examples:
            parts.append(element("div", (example_card(one, data) for one in examples), class_="grid"))
        else:
            parts.append(note(f"No clip that was {heading.lower()} has a file."))
    return joined(*parts)


def _captions(data: ReportData) -> Html:
    parts: list[Content] = []
    if data.caption_outcomes:
        parts.append(
            table(
                "Outcomes of captioning",
                ["Part", "Model", "Outcome", Column("Clips", is_number=True)],
                [
                    (part, stranger(model, 80), outcome, _counted(number))
                    for part, model, outcome, number in data.caption_outcomes
                ],
                sortable=True,
            )
        )
    else:
        parts.append(note("No clip has been captioned."))
    parts.append(_numbered("Marks of clips that are kept", "Mark", data.marks))
    for example in data.kept[:3]:
        if example.captions:
            parts.append(element("h3", stranger(example.uri, 200)))
            parts += [element("p", badge(part), " ", stranger(text)) for part, text in sorted(example.captions.items())]
    return joined(*parts)


def _failures(data: ReportData) -> Html:
    if not data.failures:
        return note("No source and no clip failed.", tone=Tone.GOOD)
    parts: list[Content] = []
    for one in data.failures:
        rows = [(stranger(file, 300), stranger(reason, 500)) for file, reason in one.named]
        rest = one.number - len(one.named)
        parts.append(
            folded(
                [badge(count_text(one.number), Tone.BAD), " ", f"{_NAMES[one.stage][0]}: ", stranger(one.reason, 80)],
                table(f"{_NAMES[one.stage][0]}: the first that failed", ["File", "Reason"], rows),
                element("p", f"And {count_text(rest)} more; the tables name all of them.") if rest else None,
                is_open=len(data.failures) <= 3,
            )
        )
    return joined(*parts)


def _settings(data: ReportData) -> Html:
    recipe = json.dumps(data.facts.recipe, indent=2, ensure_ascii=False, sort_keys=False, default=str)
    return joined(
        facts([(name, stranger(text, 200)) for name, text in data.facts.versions.items()]),
        folded(
            "Recipe as it was resolved",
            element("pre", recipe, tabindex=0, role="region", aria_label="Recipe as it was resolved"),
        ),
    )


def _numbered(caption: str, heading: str, rows: tuple[tuple[str, int], ...]) -> Html | None:
    if not rows:
        return None
    cells = [(stranger(name, 300), _counted(number)) for name, number in rows]
    return table(caption, [heading, Column("Number", is_number=True)], cells, sortable=True)


def _counted(number: int) -> Cell:
    return Cell(count_text(number), number)


def _segments(tally: Tally) -> list[Segment]:
    return [
        Segment("kept", tally.kept, Tone.GOOD),
        Segment("rejected", tally.rejected, Tone.WARNING),
        Segment("failed", tally.failed, Tone.BAD),
    ]
