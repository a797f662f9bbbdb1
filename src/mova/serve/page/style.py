"""What the page of a server adds to the style sheet of all pages."""

from __future__ import annotations

from typing import Final

STUDIO_STYLE: Final = """
[hidden] { display: none !important; }
.unseen { position: absolute; width: 1px; height: 1px; margin: -1px; overflow: hidden; clip-path: inset(50%); }
header, main, footer { max-width: 86rem; }
header.top { display: flex; flex-wrap: wrap; align-items: center; gap: .25rem 1rem; padding-top: 1rem;
  padding-bottom: 1rem; }
.top h1 { margin: 0; font-size: 1.375rem; } .top p { margin: 0; }
.top nav { margin-left: auto; } .top nav ul { margin: 0; }
.top select { width: auto; }
h2:focus, h3:focus { outline: none; }
.studio { display: grid; gap: 1.25rem; grid-template-columns: minmax(20rem, 27rem) minmax(0, 1fr); align-items: start; }
.studio > section { margin: 0; }
.results > section:last-child { margin-bottom: 0; }
#door { max-width: 28rem; margin: 3rem auto; }
.field { margin: 0 0 1.125rem; border: 0; padding: 0; min-width: 0; }
.field > label, .field > legend, .between > label, .edit > label, .suggestion > label, #key-form > label {
  display: block; font-weight: 600; padding: 0; margin-bottom: .25rem; }
.hint { color: var(--soft); font-size: .875rem; margin: .125rem 0 .375rem; }
.hint.warn { color: var(--warning); }
.error { color: var(--bad); font-size: .875rem; font-weight: 600; margin: .375rem 0 0; }
.error button { font-size: .8125rem; min-height: 1.75rem; padding: 0 .5rem; }
input:not([type="checkbox"], [type="range"], [type="file"]), textarea, select { font: inherit; color: var(--ink);
  background: var(--card); border: 1px solid var(--edge); border-radius: 8px; padding: .5rem .625rem; width: 100%;
  min-height: 2.625rem; min-width: 0; }
textarea { resize: vertical; line-height: 1.45; display: block; field-sizing: content;
  min-height: 6rem; max-height: 18rem; }
#negative { min-height: 3.75rem; }
select + input:not([hidden]) { margin-top: .375rem; }
input[type="range"] { width: 100%; accent-color: var(--accent); margin: .25rem 0; min-height: 1.5rem; display: block; }
input[type="checkbox"] { accent-color: var(--accent); width: 1.125rem; height: 1.125rem; vertical-align: -.2em;
  margin: 0; }
input[type="file"] { position: absolute; width: 1px; height: 1px; opacity: 0; }
input[type="file"]:focus-visible { outline: none; }
label:has(+ input[type="file"]:focus-visible) { outline: 3px solid var(--accent); outline-offset: 2px; }
[aria-invalid="true"]:not([type="file"]) { border-color: var(--bad) !important; border-width: 2px !important; }
:root { --edge: #868e9c; --on-accent: #ffffff; }
@media (prefers-color-scheme: dark) { :root { --edge: #6d7788; --on-accent: #10131a; } }
button, .button { font: inherit; font-size: .9375rem; color: var(--ink); background: var(--card);
  border: 1px solid var(--edge); border-radius: 8px; padding: .375rem .75rem; min-height: 2.375rem; cursor: pointer;
  display: inline-flex; align-items: center; justify-content: center; text-decoration: none; text-align: center; }
button:hover:not(:disabled), .button:hover { border-color: var(--accent); color: var(--accent); }
button:disabled { color: var(--soft); cursor: default; border-style: dashed; }
.primary, .primary:hover:not(:disabled) { background: var(--accent); color: var(--on-accent);
  border-color: var(--accent); font-weight: 600; font-size: 1rem; min-height: 2.875rem; padding: .5rem 1.5rem; }
.primary:hover:not(:disabled) { filter: brightness(1.08); }
.primary:disabled { background: var(--quiet); }
.strong { border-color: var(--accent); color: var(--accent); font-weight: 600; }
.plain { border: 0; background: none; color: var(--accent); padding: 0; min-height: 1.75rem; }
.plain:hover { text-decoration: underline; }
.small { font-size: .8125rem; min-height: 2rem; padding: .125rem .5rem; }
.chips { display: flex; flex-wrap: wrap; gap: .375rem; margin: .5rem 0 0; }
.chip { border-radius: 999px; font-size: .8125rem; min-height: 2rem; padding: .125rem .75rem; background: var(--quiet);
  border-color: transparent; text-align: left; }
.row { display: flex; flex-wrap: wrap; gap: .5rem; align-items: center; margin: .625rem 0 0; }
.between { display: flex; flex-wrap: wrap; gap: .25rem .75rem; align-items: center; justify-content: space-between; }
.between > h2 { margin: 0; } .line { flex-wrap: nowrap; max-width: none; } .line .value { flex: none; }
.between > input[type="search"] { width: min(100%, 16rem); }
.value { color: var(--soft); font-size: .875rem; font-variant-numeric: tabular-nums; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 0 .75rem; align-items: start; }
.act { display: flex; flex-wrap: wrap; gap: .5rem 1rem; align-items: center; margin-top: 1.25rem; }
.act p { margin: 0; flex: 1 1 10rem; font-size: .9375rem; }
#media > .field:first-of-type { margin-top: .75rem; }
.moment { display: flex; flex-wrap: wrap; gap: .5rem .75rem; align-items: end; margin: 0 0 .75rem; }
.moment .time { flex: 0 0 6.5rem; } .moment .text { flex: 1 1 12rem; }
.moment .time label, .moment .text label { display: block; font-size: .875rem; }
.chosen { margin: 0; overflow-wrap: anywhere; } .chosen:empty { display: none; }
#more { margin-bottom: 0; } #more > .pair, #more > .field:first-of-type { margin-top: .75rem; }
#more label:has(input[type="checkbox"]) { display: flex; gap: .5rem; align-items: flex-start; }
.drop { display: flex; flex-wrap: wrap; gap: .75rem; align-items: center; border: 1.5px dashed var(--line);
  border-radius: 10px; padding: .75rem; }
.drop.over { border-color: var(--accent); background: var(--quiet); }
.drop .hint { margin: 0; } .drop .row { margin-top: .5rem; } .grow { flex: 1 1 10rem; min-width: 0; }
.shown canvas { display: block; max-width: 7rem; max-height: 6rem; border-radius: 6px; }
.top-row { align-items: center; }
#camera-view { margin-top: .75rem; } #camera-view video { aspect-ratio: auto; max-height: 16rem; }
.suggestion { border: 1px solid var(--accent); border-radius: 10px; padding: .875rem; margin: 0 0 1.125rem;
  background: var(--ground); }
.suggestion h4 { font-size: .875rem; margin: .625rem 0 .125rem; }
.suggestion ul { margin: 0; padding-left: 1.125rem; font-size: .875rem; }
.suggestion > label { margin-top: .75rem; font-size: .875rem; }
.difference { font-size: .9375rem; }
ins { background: var(--good-ground); color: var(--good); text-decoration: underline; text-decoration-thickness: 1px; }
del { background: var(--bad-ground); color: var(--bad); }
.versions { margin: .5rem 0; font-size: .9375rem; } .versions dt { color: var(--soft); font-size: .8125rem; }
.versions dd { margin: 0; }
:lang(zh) { font-family: system-ui, -apple-system, "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif; }
.empty { display: grid; place-items: center; min-height: 14rem; border: 1.5px dashed var(--line); border-radius: 10px;
  color: var(--soft); text-align: center; padding: 1rem; }
.forming { display: grid; place-items: center; max-width: 28rem; max-height: 28rem; min-height: 10rem;
  background: #0b0d12; border-radius: 8px; overflow: hidden; margin: 0 auto .875rem; position: relative;
  aspect-ratio: 16 / 9; }
.forming p { color: #b6bdca; }
.forming img { position: absolute; inset: 0; width: 100%; height: 100%; object-fit: contain; filter: blur(2px); }
progress { appearance: none; display: block; width: 100%; height: .5rem; border: 0; border-radius: 999px;
  background: var(--quiet); overflow: hidden; }
progress::-webkit-progress-bar { background: var(--quiet); }
progress::-webkit-progress-value { background: var(--accent); border-radius: 999px; }
progress::-moz-progress-bar { background: var(--accent); }
@media (prefers-reduced-motion: no-preference) { progress::-webkit-progress-value { transition: width .4s; } }
.asked { font-size: 1.0625rem; max-width: none; }
.player { margin: 0 auto; }
.player video { aspect-ratio: auto; height: auto; max-height: 28rem; object-fit: contain; }
.player.square, .player.tall { max-width: 28rem; }
.spectrum { position: relative; height: 4.5rem; margin-top: .375rem; }
.spectrum canvas { width: 100%; height: 100%; border-radius: 6px; display: block; }
.spectrum svg { position: absolute; inset: 0; height: 100%; margin: 0; background: none; }
.spectrum .cursor { stroke: #fff; }
.strips img { width: 100%; height: 4rem; margin-top: .375rem; border-radius: 6px; }
.where { font-size: .875rem; max-width: none; } .where code { overflow-wrap: anywhere; }
.queue { list-style: none; margin: .75rem 0 0; padding: 0; }
.queue li { border-top: 1px solid var(--line); padding: .75rem 0; } .queue li:last-child { padding-bottom: 0; }
.row-head { display: flex; gap: .75rem; justify-content: space-between; align-items: flex-start; }
.title { text-align: left; justify-content: flex-start; font-weight: 600; color: var(--ink); min-width: 0; }
.title[aria-current="true"] { color: var(--accent); }
.row-head .badge { flex: none; } .queue progress { margin: .375rem 0; }
.queue .state { margin: .125rem 0; font-size: .875rem; }
.queue .row { margin-top: .375rem; gap: .375rem; }
.edit { margin-top: .75rem; display: grid; gap: .375rem; }
.task { border: 1px solid var(--accent); border-radius: 10px; padding: .875rem; gap: .625rem; max-width: 34rem; }
.task label { font-weight: 600; display: block; margin-bottom: .25rem; }
.gallery { list-style: none; margin: .75rem 0 0; padding: 0; display: grid; gap: .75rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 9.5rem), 1fr)); }
.card { display: flex; flex-direction: column; align-items: stretch; justify-content: flex-start; gap: .25rem;
  width: 100%; height: 100%; padding: .375rem .375rem .5rem; text-align: left; border-color: var(--line);
  font-size: .875rem; }
.card[aria-current="true"] { border-color: var(--accent); box-shadow: 0 0 0 1px var(--accent); }
.thumb { display: grid; place-items: center; aspect-ratio: 16 / 10; background: var(--quiet); border-radius: 6px;
  overflow: hidden; color: var(--soft); font-size: 1.25rem; position: relative; }
.thumb img { position: absolute; inset: 0; width: 100%; height: 100%; object-fit: contain; }
.words { display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 2; overflow: hidden;
  line-height: 1.35; }
.small-text { font-size: .75rem; }
#load-more { margin-top: .875rem; }
#notice { margin: 0 0 1.25rem; }
footer { padding-top: .5rem; }
@media (max-width: 60rem) {
  .studio { grid-template-columns: minmax(0, 1fr); }
  .studio > section { margin: 0; }
}
@media (max-width: 30rem) {
  .top nav { order: 1; flex: 1 0 auto; max-width: 100%; margin: 0; }
  .top nav ul { gap: 0 .75rem; }
  .top nav a { padding: .5rem 0; white-space: nowrap; font-size: .9375rem; }
  .top select { order: 1; font-size: .875rem; }
  .pair { grid-template-columns: minmax(0, 1fr); }
  .between > input[type="search"] { width: 100%; }
  .gallery { grid-template-columns: 1fr 1fr; }
  .act .primary { width: 100%; }
  .act p { flex-basis: 100%; }
}
"""
