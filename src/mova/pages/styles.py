"""The style sheet of all pages: light and dark, from a phone's width to a desk's."""

from __future__ import annotations

from typing import Final

PAGE_STYLE: Final = """
:root {
  color-scheme: light dark;
  --ground: #f6f7f9; --card: #ffffff; --ink: #1b1f27; --soft: #545c6b; --line: #d5dae2; --quiet: #e9ecf1;
  --accent: #2355b8; --good: #1a6e41; --bad: #ad2323; --warning: #815100;
  --good-ground: #e2f3e9; --bad-ground: #fbe7e6; --warning-ground: #fbf0d6;
  --bar: #3f74d1; --bar-out: #c06a54; --threshold: #8c1d3f;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #12151b; --card: #1b2029; --ink: #e8ebf1; --soft: #a9b2c1; --line: #363e4c; --quiet: #272e3a;
    --accent: #90b5ff; --good: #77d3a2; --bad: #ff9c94; --warning: #f0c26a;
    --good-ground: #17352a; --bad-ground: #41211f; --warning-ground: #3a2e14;
    --bar: #6f9ff0; --bar-out: #a8604e; --threshold: #ff9db8;
  }
}
*, *::before, *::after { box-sizing: border-box; }
html { scroll-padding-top: 1rem; -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--ground); color: var(--ink); line-height: 1.5; overflow-wrap: anywhere;
  font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif; font-size: 1rem; }
header, main, footer { max-width: 72rem; margin: 0 auto; padding: 0 1.25rem; }
header { padding-top: 2rem; }
footer { padding-bottom: 3rem; color: var(--soft); font-size: .875rem; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 .25rem; letter-spacing: -.01em; }
h2 { font-size: 1.25rem; margin: 0 0 .75rem; }
h3 { font-size: 1rem; margin: 0 0 .25rem; }
p { margin: .5rem 0; max-width: 46rem; }
a { color: var(--accent); }
.grid + h3 { margin-top: 1.25rem; }
.lead, .soft { color: var(--soft); }
.lead { margin-top: 0; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; border-radius: 4px; }
.skip { position: absolute; left: -99rem; background: var(--card); color: var(--accent); padding: .5rem 1rem; }
.skip:focus { left: 1rem; top: 1rem; z-index: 1; }
nav ul { list-style: none; display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; margin: 1rem 0 1.5rem; padding: 0; }
nav a { text-decoration: none; display: inline-block; padding: .25rem 0; }
nav a:hover { text-decoration: underline; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 1.25rem;
  margin: 0 0 1.25rem; }
.grid { display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, var(--least, 19rem)), 1fr)); }
.tiles { display: grid; gap: .75rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 11rem), 1fr));
  margin: 0 0 1.25rem; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: .875rem 1rem;
  display: flex; flex-direction: column; }
.tile strong { font-size: 1.625rem; line-height: 1.25; font-variant-numeric: tabular-nums; }
.label, .detail, figcaption { color: var(--soft); font-size: .875rem; }
figure, .example { margin: 0; border: 1px solid var(--line); border-radius: 10px; padding: .875rem; min-width: 0; }
figure svg { margin-top: .5rem; }
svg { display: block; width: 100%; height: auto; }
svg.strip { height: .75rem; border-radius: 6px; min-width: 5rem; }
td svg.strip { margin-top: .375rem; } td p { margin: 0; }
.bar { fill: var(--bar); } .bar.out { fill: var(--bar-out); }
.axis { stroke: var(--line); } .tick { fill: var(--soft); font-size: 11px; }
.threshold { stroke: var(--threshold); stroke-width: 1.5; stroke-dasharray: 4 2; }
.threshold-label { fill: var(--threshold); font-size: 11px; font-weight: 600; }
.track { fill: var(--quiet); } .mark { fill: var(--ink); }
.fill.plain { fill: var(--bar); } .fill.good { fill: var(--good); } .fill.bad { fill: var(--bad); }
.fill.warning { fill: var(--warning); }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: .25rem 1rem; margin: .375rem 0 0; padding: 0;
  font-size: .875rem; font-variant-numeric: tabular-nums; }
.key { display: inline-block; width: .75rem; height: .75rem; border-radius: 3px; margin-right: .375rem; }
.key.good { background: var(--good); } .key.bad { background: var(--bad); } .key.warning { background: var(--warning); }
.key.plain { background: var(--bar); }
.badge { display: inline-block; border-radius: 999px; padding: .0625rem .625rem; font-size: .8125rem; font-weight: 600;
  background: var(--quiet); color: var(--ink); }
.badge.good { background: var(--good-ground); color: var(--good); }
.badge.bad { background: var(--bad-ground); color: var(--bad); }
.badge.warning { background: var(--warning-ground); color: var(--warning); }
.badges { display: flex; flex-wrap: wrap; gap: .375rem; margin: .5rem 0; }
.note { border-left: 4px solid var(--line); background: var(--quiet); border-radius: 0 8px 8px 0;
  padding: .625rem .875rem; max-width: none; }
.note.good { border-color: var(--good); } .note.bad { border-color: var(--bad); }
.note.warning { border-color: var(--warning); }
.facts { margin: .25rem 0; display: grid; gap: .25rem 1.5rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 20rem), 1fr)); }
.facts div { display: flex; gap: .75rem; justify-content: space-between; border-bottom: 1px solid var(--quiet);
  min-width: 0; }
.facts dt { color: var(--soft); } .facts dd { margin: 0; text-align: right; min-width: 0; }
.scroll { overflow-x: auto; margin: 1.25rem 0 .5rem; }
h2 + .scroll { margin-top: 0; }
.wide { --least: 26rem; }
table { border-collapse: collapse; width: 100%; font-size: .9375rem; overflow-wrap: break-word; }
caption { text-align: left; font-weight: 600; padding-bottom: .25rem; }
/* Of a table that is wider than the screen, the caption is not. */
caption span { display: block; max-width: calc(100vw - 4rem); }
th, td { text-align: left; padding: .4375rem .75rem; border-bottom: 1px solid var(--quiet); vertical-align: top; }
th:first-child, td:first-child { padding-left: 0; } th:last-child, td:last-child { padding-right: 0; }
thead th { color: var(--soft); font-size: .875rem; border-color: var(--line); white-space: nowrap; }
tbody th { font-weight: 600; overflow-wrap: anywhere; min-width: clamp(9rem, 16vw, 12rem); }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
thead button { font: inherit; color: inherit; background: none; border: 0; padding: .125rem 0; cursor: pointer;
  min-height: 1.5rem; }
thead button::after { content: " \\2195"; color: var(--soft); }
th[aria-sort="ascending"] button::after { content: " \\2191"; }
th[aria-sort="descending"] button::after { content: " \\2193"; }
details { margin: .5rem 0; } summary { cursor: pointer; color: var(--accent); padding: .25rem 0; }
video { display: block; width: 100%; aspect-ratio: 16 / 9; background: #000; border-radius: 8px; }
.strips svg { margin-top: .25rem; height: 3rem; cursor: pointer; background: var(--quiet); border-radius: 6px; }
.wave { fill: var(--bar); } .curve { fill: none; stroke: var(--bar); stroke-width: 1.5; }
.moment { stroke: var(--threshold); stroke-width: 1; } .cursor { stroke: var(--ink); stroke-width: 1.5; }
.strips .curve, .strips .moment, .strips .cursor { vector-effect: non-scaling-stroke; }
.strips p.detail { margin: .375rem 0 0; }
.steps { display: flex; gap: .5rem; align-items: center; margin: .375rem 0; font-variant-numeric: tabular-nums;
  color: var(--soft); font-size: .875rem; }
.steps button { font: inherit; color: var(--ink); background: var(--quiet); border: 1px solid var(--line);
  border-radius: 6px; min-width: 2.25rem; min-height: 2rem; cursor: pointer; }
.example p { font-size: .9375rem; }
.example h3 { font-size: .9375rem; margin-top: .625rem; }
pre { overflow-x: auto; background: var(--quiet); border-radius: 8px; padding: .75rem; font-size: .8125rem; }
code, pre { font-family: ui-monospace, "SF Mono", Consolas, "DejaVu Sans Mono", monospace; }
@media (max-width: 30rem) {
  header, main, footer { padding-left: .75rem; padding-right: .75rem; }
  section { padding: 1rem .875rem; border-radius: 10px; }
  h1 { font-size: 1.4375rem; }
}
@media (prefers-reduced-motion: no-preference) { html { scroll-behavior: smooth; } }
@media print { nav, .skip { display: none; } section { break-inside: avoid; } }
"""
