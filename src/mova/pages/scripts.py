"""The script of all pages: tables that sort, one video at a time, steps by frame. A page is complete without it."""

from __future__ import annotations

from typing import Final

_TABLES: Final = """
for (const table of document.querySelectorAll("table[data-sortable]")) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const keyOf = (row, place) => {
    const cell = row.cells[place];
    const text = cell.dataset.sort ?? cell.textContent.trim();
    const number = Number(text.replaceAll(",", ""));
    return text === "" || text === "\\u2013" ? null : Number.isNaN(number) ? text : number;
  };
  const compare = (one, other) =>
    typeof one === "number" && typeof other === "number" ? one - other : String(one).localeCompare(String(other));
  heads.forEach((head, place) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const each of heads) each.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...body.rows].map((row) => [keyOf(row, place), row]);
      rows.sort(([one], [other]) =>
        one === null || other === null ? (one === null) - (other === null) : (down ? -1 : 1) * compare(one, other));
      body.append(...rows.map(([, row]) => row));
    });
  });
}
"""
PLAYER_SCRIPT: Final = """
const playerWords = {
  previous: "Previous frame", next: "Next frame", at: (seconds, frame) => `${seconds} s, frame ${frame}`,
};
const followPlayer = (player, words = playerWords) => {
  const video = player.querySelector("video");
  const rate = Number(player.dataset.frameRate) || 24;
  const strips = [...player.querySelectorAll("svg.timeline")];
  const row = document.createElement("div");
  row.className = "steps";
  const said = document.createElement("output");
  // It moves with each frame: to be read on demand, never aloud by itself.
  said.setAttribute("aria-live", "off");
  const frame = () => Math.floor(video.currentTime * rate + 0.01);
  const show = () => {
    said.textContent = words.at(video.currentTime.toFixed(2), frame());
    for (const strip of strips) {
      const place = Math.min(1, video.currentTime / Number(strip.dataset.duration)) * strip.viewBox.baseVal.width;
      const cursor = strip.querySelector(".cursor");
      cursor.setAttribute("x1", place);
      cursor.setAttribute("x2", place);
    }
  };
  const go = (seconds) => {
    video.pause();
    video.currentTime = Math.min(Math.max(0, seconds), Number.isFinite(video.duration) ? video.duration : seconds);
  };
  // The middle of a frame, so that no rounding shows the one before it.
  const step = (count) => go((Math.max(0, frame() + count) + 0.5) / rate);
  for (const [text, label, count] of [["\u2039", words.previous, -1], ["\u203a", words.next, 1]]) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = text;
    button.setAttribute("aria-label", label);
    button.addEventListener("click", () => step(count));
    row.append(button);
  }
  row.append(said);
  video.after(row);
  player.addEventListener("keydown", (event) => {
    if (event.key === "," || event.key === ".") {
      event.preventDefault();
      step(event.key === "," ? -1 : 1);
    }
  });
  for (const strip of strips) {
    strip.addEventListener("click", (event) => {
      const box = strip.getBoundingClientRect();
      go((event.clientX - box.left) / box.width * Number(strip.dataset.duration));
    });
  }
  let asked = 0;
  const follow = () => {
    show();
    asked = video.paused ? 0 : requestAnimationFrame(follow);
  };
  for (const name of ["loadedmetadata", "seeked", "timeupdate", "pause"]) video.addEventListener(name, show);
  video.addEventListener("play", () => { if (!asked) follow(); });
  show();
};
document.addEventListener("play", (event) => {
  for (const video of document.querySelectorAll("video")) if (video !== event.target) video.pause();
}, true);
"""
"""`followPlayer(player, words)` for a `.player`, and one video at a time; for scripts that make players themselves."""
PAGE_SCRIPT: Final = f"""
"use strict";
{_TABLES}{PLAYER_SCRIPT}for (const player of document.querySelectorAll(".player")) followPlayer(player);
"""
