"""Part of the script: the queue, and the gallery of clips; what is there stays in its place while its text changes."""

from __future__ import annotations

from typing import Final

LISTS: Final = r"""
let queueState = {is_paused: false}, galleryIds = [], hasMore = false, searched = "", editing = null;
// Where keys are in force, an administrator alone pauses the queue and changes its order.
let mayOrder = true;

// Elements are kept by the id of their clip: focus is not lost when something else moves.
function keyed(list, items, build, update) {
  const known = new Map([...list.children].map((one) => [one.dataset.id, one]));
  const active = document.activeElement;
  let place = list.firstElementChild;
  for (const item of items) {
    let one = known.get(item.id);
    if (!one) { one = build(item); one.dataset.id = item.id; }
    known.delete(item.id);
    if (one !== place) list.insertBefore(one, place); else place = place.nextElementSibling;
    update(one, item);
  }
  // What is put in another place loses its focus on the way.
  if (list.contains(active) && document.activeElement !== active) active.focus({preventScroll: true});
  for (const [id, gone] of known) {
    const hadFocus = gone.contains(document.activeElement);
    if (editing === id) editing = null;
    gone.remove();
    if (hadFocus) focusHeading(list === get("queue-list") ? "queue-heading" : "gallery-heading");
  }
}

const waiting = () => [...clips.values()].filter(isOpen).sort((one, other) =>
  (one.status !== "in_progress") - (other.status !== "in_progress")
  || (one.position ?? Infinity) - (other.position ?? Infinity) || one.created_at - other.created_at);

function renderQueue() {
  const items = waiting();
  keyed(get("queue-list"), items, queueRow, updateQueueRow);
  show(get("queue-list"), items.length > 0);
  setText(get("queue-note"), t(queueState.is_paused ? "queue_is_paused_long" : "queue_is_empty"));
  show(get("queue-note"), queueState.is_paused || !items.length);
  setText(get("pause"), t(queueState.is_paused ? "resume" : "pause"));
  show(get("pause"), mayOrder && (items.length > 0 || queueState.is_paused));
  const running = items.find((one) => one.status === "in_progress");
  document.title = running ? `${running.progress} % \u00b7 mova` : "mova";
}

function queueRow(item) {
  const id = item.id, video = () => clips.get(id);
  const open = make("button", {type: "button", className: "plain title", on: {click: () => choose(id, true)}},
    make("span", {className: "words"}, make("bdi")));
  const small = (name, key, call) => button(key, call, {className: "small", "data-name": name});
  const row = make("li", {},
    make("div", {className: "row-head"}, open, make("span", {className: "badge"})),
    make("progress", {max: 100, "aria-label": t("progress"), "data-label": "progress"}),
    make("p", {className: "soft state"}),
    make("div", {className: "row buttons"},
      small("up", "up", () => move(id, -1)), small("down", "down", () => move(id, 1)),
      small("edit", "edit", () => openEdit(id)),
      small("hold", "hold", () => act(video(), "hold", "held")),
      small("release", "release", () => act(video(), "release", "released")),
      small("duplicate", "duplicate", () => act(video(), "duplicate", "queued")),
      small("cancel", "cancel", () => act(video(), "cancel", "cancelled"))),
    make("div", {className: "edit", hidden: true}));
  return row;
}
function updateQueueRow(row, video) {
  const state = stateOf(video), isRunning = video.status === "in_progress";
  const order = waiting().filter((one) => one.position);
  const canMove = mayOrder && Boolean(video.position) && order.length > 1;
  const place = order.findIndex((one) => one.id === video.id);
  setText(row.querySelector("bdi"), video.prompt);
  row.querySelector(".title").setAttribute("aria-current", String(video.id === chosen));
  const badge = row.querySelector(".badge");
  setText(badge, t(isRunning ? "running" : state === "held" ? "held_badge" : "waiting_badge"));
  badge.className = `badge ${isRunning ? "good" : state === "held" ? "warning" : ""}`;
  const bar = row.querySelector("progress");
  show(bar, isRunning);
  bar.value = video.progress ?? 0;
  setText(row.querySelector(".state"), progressText(video));
  for (const one of row.querySelectorAll("[data-name]")) {
    const name = one.dataset.name;
    show(one, {up: canMove, down: canMove, edit: !isRunning, hold: !isRunning && state !== "held",
      release: state === "held", duplicate: true, cancel: true}[name]);
    if (name === "up") one.disabled = place === 0;
    if (name === "down") one.disabled = place === order.length - 1;
    setText(one, t(one.dataset.w));
    one.setAttribute("aria-label", t("of_clip", {what: t(one.dataset.w), prompt: video.prompt.slice(0, 60)}));
  }
  if (isRunning && editing === video.id) { closeEdit(row); tell(t("begun_meanwhile")); }
}
async function move(id, by) {
  const order = waiting().filter((one) => one.position), place = order.findIndex((one) => one.id === id);
  const before = by < 0 ? order[place - 1]?.id : order[place + 2]?.id ?? null;
  if (await act({id}, "move", "", {before})) {
    await refreshQueue();
    // At an end of the queue the button that was pressed can be pressed no more.
    const row = rowOf(id);
    if (row && !row.contains(document.activeElement)) {
      row.querySelector("[data-name=up]:enabled, [data-name=down]").focus();
    }
    announce(t("moved", {n: number(waiting().filter((one) => one.position).findIndex((one) => one.id === id) + 1)}));
  }
}
const rowOf = (id) => get("queue-list").querySelector(`[data-id="${CSS.escape(id)}"]`);
function openEdit(id) {
  const row = rowOf(id), box = row.querySelector(".edit"), video = clips.get(id);
  if (editing === id) return closeEdit(row);
  editing = id;
  const text = make("textarea", {rows: 3, value: video.prompt, id: `text-${id}`});
  const seed = make("input", {value: video.seed ?? "", inputMode: "numeric", id: `seed-${id}`});
  const wrong = make("p", {className: "error", hidden: true, id: `wrong-${id}`});
  text.setAttribute("aria-describedby", wrong.id);
  const save = async () => {
    try {
      const changes = {prompt: text.value.trim(), ...(seed.value.trim() ? {seed: seed.value.trim()} : {})};
      const asked = stamp();
      receive(await ask("PATCH", path(id), changes), asked);
      closeEdit(row);
      announce(t("saved"));
    } catch (fault) {
      setText(wrong, heardFault(fault));
      show(wrong, true);
      (fault.param === "seed" ? seed : text).focus();
    }
  };
  box.replaceChildren(
    make("label", {w: "prompt_short", htmlFor: text.id}), text,
    make("label", {w: "seed", htmlFor: seed.id}), seed, wrong,
    make("div", {className: "row"},
      button("save", save, {className: "strong"}), button("close", () => closeEdit(row))));
  show(box, true);
  text.focus();
}
function closeEdit(row) {
  editing = null;
  const box = row.querySelector(".edit"), hadFocus = box.contains(document.activeElement);
  show(box, false);
  box.replaceChildren();
  if (hadFocus) row.querySelector(row.querySelector("[data-name=edit]").hidden ? ".title" : "[data-name=edit]").focus();
}

function renderGallery() {
  const items = galleryIds.map((id) => clips.get(id)).filter((one) => one && !isOpen(one));
  keyed(get("gallery-list"), items, card, updateCard);
  setText(get("gallery-note"), items.length ? "" : t(searched ? "nothing_found" : "no_clips"));
  show(get("gallery-note"), !items.length);
  show(get("load-more"), hasMore);
  show(get("search"), items.length > 0 || searched !== "" || document.activeElement === get("search"));
}
function card(video) {
  const id = video.id;
  return make("li", {}, make("button", {type: "button", className: "card", on: {click: () => choose(id, true)}},
    make("span", {className: "thumb"}), make("span", {className: "words"}, make("bdi")),
    make("span", {className: "soft small-text"})));
}
function updateCard(one, video) {
  const thumb = one.querySelector(".thumb"), state = stateOf(video);
  if (video.has?.thumbnail && !thumb.firstChild) {
    thumb.append(make("img", {src: content(video, "thumbnail"), alt: "", loading: "lazy"}));
  }
  if (state !== "completed" && !thumb.firstChild) thumb.append(state === "cancelled" ? "\u2013" : "!");
  setText(one.querySelector("bdi"), video.prompt);
  const when = new Date(1000 * (video.completed_at ?? video.created_at))
    .toLocaleString(language, {month: "short", day: "numeric", hour: "numeric", minute: "2-digit"});
  const what = state === "completed" ? t("seconds", {n: seconds(video.seconds)})
    : t(state === "cancelled" ? "cancelled_badge" : "failed_badge");
  setText(one.querySelector(".small-text"), `${what} \u00b7 ${when}`);
  one.firstChild.setAttribute("aria-current", String(video.id === chosen));
}

// What is asked for or heard is numbered: an answer says nothing new of a clip that was heard of after the question.
let moment = 0, queueMoment = 0;
const stamp = () => ++moment;
const heardAt = new Map();
const isNews = (id, asked) => (heardAt.get(id) ?? 0) <= asked;
const byAge = (one, other) => (clips.get(other)?.created_at ?? 0) - (clips.get(one)?.created_at ?? 0);
function keep(video, asked) {
  if (!isNews(video.id, asked)) return false;
  heardAt.set(video.id, asked);
  clips.set(video.id, video);
  if (!searched && !galleryIds.includes(video.id)) galleryIds = [video.id, ...galleryIds].sort(byAge);
  return true;
}
function keepQueue(state, asked) {
  if (asked < queueMoment) return;
  queueMoment = asked;
  queueState = {...queueState, ...state};
}

const pageSize = 24;
let searchNumber = 0, lastLoaded = null;
async function loadGallery(isMore = false) {
  const asked = stamp(), mine = ++searchNumber;
  const limit = isMore ? pageSize : Math.min(100, Math.max(pageSize, galleryIds.length));
  const query = new URLSearchParams({limit, order: "desc"});
  if (searched) query.set("search", searched);
  if (isMore && lastLoaded) query.set("after", lastLoaded);
  const found = await ask("GET", `/v1/videos?${query}`);
  if (mine !== searchNumber) return;
  const heardSince = searched ? [] : galleryIds.filter((id) => !isNews(id, asked));
  const loaded = found.data.filter((one) => clips.has(one.id) || isNews(one.id, asked)).map((one) => one.id);
  lastLoaded = loaded.at(-1) ?? lastLoaded;
  for (const video of found.data) keep(video, asked);
  galleryIds = [...new Set([...(isMore ? galleryIds : heardSince), ...loaded])].sort(byAge);
  hasMore = found.has_more;
  renderAll();
}
async function refreshQueue() {
  const asked = stamp(), {data = [], ...state} = await ask("GET", "/v1/queue");
  keepQueue(state, asked);
  for (const video of data) keep(video, asked);
  renderAll();
}
const refreshQueueLater = later(() => refreshQueue().catch(() => {}), 400);
get("search").addEventListener("input", later(async () => {
  searched = get("search").value.trim();
  try {
    await loadGallery();
    announce(t("found", {n: number(get("gallery-list").children.length)}));
  } catch (fault) { if (fault.status) tell(heardFault(fault)); }
}, 300));
get("load-more").addEventListener("click", () => loadGallery(true).catch((fault) => tell(heardFault(fault))));
get("pause").addEventListener("click", async () => {
  const was = queueState.is_paused, asked = stamp();
  const said = await once(() => ask("POST", `/v1/queue/${was ? "resume" : "pause"}`), was ? "resumed" : "paused");
  if (said) { keepQueue(said, asked); renderAll(); }
});
"""
"""`renderQueue`, `renderGallery`, `loadGallery`, `refreshQueue`."""
