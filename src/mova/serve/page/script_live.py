"""Last part of the script: changes as they come, the key, the language, and the beginning."""

from __future__ import annotations

from typing import Final

LIVE: Final = r"""
function renderAll() { renderClip(); renderQueue(); renderGallery(); renderServer(); }

const said = new Map();
function receive(video, asked = stamp()) {
  const before = clips.get(video.id);
  if (!keep(video, asked)) return;
  tellChange(before, video);
  renderAll();
}
async function fetchClip(id) {
  const asked = stamp();
  receive(await ask("GET", path(id)), asked);
}
// Beginning, halfway, end: no more is said aloud of a clip.
function tellChange(before, video) {
  if (!before) return;
  const prompt = video.prompt.slice(0, 60), state = stateOf(video);
  const begun = video.status === "in_progress" ? (video.progress >= 50 ? "half" : "begun") : "";
  const place = isOpen(video) ? begun : state;
  if (!place || said.get(video.id) === place) return;
  said.set(video.id, place);
  if (isOpen(before) || isOpen(video)) announce(t(`heard_${place}`, {prompt}));
  if (place === "completed" && isOpen(before)) { planLater(); if (!chosen) choose(video.id); }
}
function forget(id) {
  heardAt.set(id, stamp());
  clips.delete(id);
  if (id === lastLoaded) lastLoaded = galleryIds[galleryIds.indexOf(id) - 1] ?? null;
  galleryIds = galleryIds.filter((one) => one !== id);
  if (chosen === id) choose(null); else renderAll();
}

let source = null, sourceWorks = false;
function listen() {
  source?.close();
  source = new EventSource("/v1/events");
  const heard = () => { sourceWorks = true; away(false); };
  source.addEventListener("open", () => {
    heard();
    Promise.all([loadGallery(), loadOpen(), refreshQueue()]).catch(() => {});
  });
  source.addEventListener("video", (event) => {
    heard();
    const video = parse(event.data), before = clips.get(video.id);
    receive(video);
    // The places of the others have changed too, and nothing comes of that.
    if (before?.position !== video.position) refreshQueueLater();
  });
  source.addEventListener("deleted", (event) => { heard(); forget(JSON.parse(event.data).id); });
  source.addEventListener("queue", (event) => {
    heard();
    keepQueue(JSON.parse(event.data), stamp());
    refreshQueueLater();
  });
  source.addEventListener("error", () => { sourceWorks = false; });
}
// Without a stream the server is asked; a stream that was closed is opened again.
async function watch() {
  for (let round = 0; !isShut; round += 1) {
    await pause(isAway ? 1500 : 2000);
    if (document.hidden && round % 5) continue;
    try {
      if (!sourceWorks) {
        await refreshQueue();
        await loadOpen();
        if (source.readyState === EventSource.CLOSED && round % 5 === 0) listen();
      }
      if (round % 15 === 0 || !["idle", "busy", undefined].includes(queueState.worker)) await checkServer();
    } catch { /* It is said in the notice; the next round tries again. */ }
  }
}
// Clips that were open here and are in no queue any more: they have ended, or are gone.
async function loadOpen() {
  for (const video of [...clips.values()].filter(isOpen)) {
    try {
      await fetchClip(video.id);
    } catch (fault) {
      if (fault.status !== 404) throw fault;
      forget(video.id);
    }
  }
}
async function checkServer() {
  try { await refreshQueue(); } catch { /* It is said in the notice. */ }
}
const serverStates = {
  idle: "server_ready", busy: "server_busy", loading: "server_loading", none: "server_loading", failed: "server_failed",
};
function renderServer() {
  const worker = queueState.worker ?? "idle", badge = get("server");
  setText(badge, t(isAway ? "server_away" : serverStates[worker] ?? "server_loading"));
  badge.className = `badge ${!isAway && ["idle", "busy"].includes(worker) ? "good" : "warning"}`;
}

let isShut = false;
function openDoor() {
  isShut = true;
  source?.close();
  for (const id of ["starting", "studio"]) show(get(id), false);
  show(get("door"), true);
  setText(get("server"), t("locked"));
  get("server").className = "badge";
  get("key").focus();
}
get("key-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  showError("key", "");
  try {
    await ask("POST", "/v1/session", {key: get("key").value.trim()});
    location.reload();
  } catch (fault) {
    showError("key", fault.status === 401 ? t("wrong_key") : heardFault(fault));
    get("key").focus();
  }
});
get("sign-out").addEventListener("click", async () => {
  await ask("DELETE", "/v1/session");
  stored.drop(draftKey);
  location.reload();
});

get("language").addEventListener("change", () => {
  language = get("language").value;
  try { localStorage.setItem("mova-language", JSON.stringify(language)); } catch { /* For this visit only. */ }
  translate();
  if (!model) return;
  fillForm();
  sayValues();
  showEnhanced();
  planLater();
  renderAll();
  checkServer();
});

async function sendPending() {
  const pending = stored.get(pendingKey);
  if (!pending) return;
  try {
    const asked = stamp(), made = await deliver(pending);
    receive(made, asked);
    choose(made.id);
    announce(t("queued"));
  } catch (fault) { showFault(fault, false); }
}
const chosenInAddress = () => /^#(video_[0-9a-f]+)$/.exec(location.hash)?.[1] ?? null;
addEventListener("hashchange", async () => {
  const id = chosenInAddress();
  if (!id || id === chosen) return;
  try { await fetchClip(id); } catch (fault) { return tell(heardFault(fault)); }
  choose(id, true);
});
async function start() {
  get("language").value = language;
  translate();
  for (let wait = 500; ; wait = Math.min(2 * wait, 5000)) {
    try {
      const session = await ask("GET", "/v1/session");
      if (session.needs_key && !session.is_known) return openDoor();
      show(get("sign-out"), session.needs_key);
      mayOrder = session.is_admin;
      model = (await ask("GET", "/v1/models")).data[0];
      break;
    } catch (fault) {
      if (fault.status === 401) return;
      if (fault.status) tell(heardFault(fault));
      await pause(wait);
    }
  }
  setText(get("model"), model.id);
  get("first").checked = knowsFew();
  get("negative").value = model.defaults.negative_prompt ?? "";
  fillForm();
  loadDraft(stored.get(draftKey));
  sayValues();
  show(get("starting"), false);
  show(get("studio"), true);
  plan();
  chosen = chosenInAddress() ?? stored.get("mova-chosen");
  try {
    await Promise.all([loadGallery(), refreshQueue()]);
    if (chosen && !clips.has(chosen)) {
      const asked = stamp();
      try { keep(await ask("GET", path(chosen)), asked); } catch { chosen = null; }
    }
  } catch { /* The rounds of `watch` try again. */ }
  choose(chosen ?? waiting()[0]?.id ?? galleryIds.find((id) => stateOf(clips.get(id)) === "completed") ?? null);
  listen();
  checkServer();
  watch();
  sendPending();
}
start();
"""
"""It begins at once."""
