"""What the page of an arena adds to the style sheet of all pages."""

from __future__ import annotations

from typing import Final

VOTING_STYLE: Final = """
main { max-width: 80rem; }
header { max-width: 80rem; padding-top: 1.25rem; }
[hidden] { display: none !important; }
.asked { max-height: min(10rem, 25vh); overflow-y: auto; border-radius: 8px; }
.asked > * { margin: 0; }
.players { display: grid; gap: 1rem; grid-template-columns: 1fr 1fr; margin: .75rem 0; }
.player h2 { font-size: 1rem; margin: 0 0 .375rem; display: flex; justify-content: space-between; gap: .75rem; }
.player h2 span { font-weight: 400; font-size: .875rem; }
.player video { object-fit: contain; }
.player.heard video { outline: 3px solid var(--accent); outline-offset: 2px; }
.controls { display: flex; flex-wrap: wrap; gap: .5rem .75rem; align-items: center; margin: .75rem 0; }
.controls p { margin: 0; }
main button { font: inherit; color: var(--ink); background: var(--quiet); border: 1px solid var(--line);
  border-radius: 8px; padding: .5rem .875rem; min-height: 2.75rem; cursor: pointer; }
main button:hover:not(:disabled) { border-color: var(--accent); }
main button:disabled { color: var(--soft); cursor: default; border-style: dashed; }
#play, #send:not(:disabled) { background: var(--accent); color: var(--card); border-color: var(--accent);
  font-weight: 600; }
.questions { display: grid; gap: .5rem 1.25rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); }
fieldset { border: 0; border-left: 4px solid transparent; margin: 0; padding: .25rem 0 .25rem .625rem; min-width: 0; }
fieldset[aria-current] { border-left-color: var(--accent); }
legend { padding: 0; display: flex; flex-wrap: wrap; gap: 0 .625rem; margin-bottom: .25rem; }
legend span { font-size: .875rem; align-self: center; }
.answers { display: grid; grid-template-columns: repeat(4, 1fr); gap: .375rem; }
.answers button { padding: .375rem .25rem; }
.answers button[aria-pressed="true"] { background: var(--accent); color: var(--card); border-color: var(--accent);
  font-weight: 600; }
@media (max-width: 40rem) and (orientation: portrait) {
  .players { grid-template-columns: 1fr; gap: .5rem; }
  .answers button { font-size: .875rem; padding: .375rem .125rem; }
  .controls { margin: .75rem 0 1rem; }
  #send { width: 100%; }
}
"""
