"""Part of the script: the clip that is looked at, while it is made and when it is finished."""

from __future__ import annotations

from typing import Final

CLIP: Final = r"""
const clips = new Map();
let chosen = null, shownKey = "", shownParts = {};
const stages = {
  loading: "stage_loading", sampling: "stage_sampling", decoding: "stage_decoding", writing: "stage_writing",
};
const viewWords = () => ({
  previous: t("previous_frame"), next: t("next_frame"), at: (time, frame) => t("at_frame", {time, frame}),
});

function progressText(video) {
  const state = stateOf(video);
  if (state === "held") return t("is_held");
  if (video.status === "queued") {
    if (queueState.is_paused) return t("queue_is_paused");
    return video.position > 1 ? t("waits_at", {n: number(video.position)}) : t("waits");
  }
  const parts = [t(stages[video.stage] ?? "stage_other")];
  if (video.window && video.num_windows > 1) {
    parts.push(t("window_of", {n: number(video.window), total: number(video.num_windows)}));
  }
  if (video.stage_total > 1) {
    parts.push(t("step_of", {n: number(video.stage_done ?? 0), total: number(video.stage_total)}));
  }
  if (video.left_s > 0) parts.push(t("left", {time: duration(video.left_s)}));
  return parts.join(" \u00b7 ");
}

function choose(id, isFocused = false) {
  chosen = id;
  stored.set("mova-chosen", id);
  history.replaceState(null, "", id ? `#${id}` : location.pathname);
  renderAll();
  if (isFocused) {
    get("clip-heading").focus({preventScroll: true});
    get("clip").scrollIntoView({block: "start"});
  }
}

function renderClip() {
  const video = clips.get(chosen);
  const key = video ? [video.id, isOpen(video) ? "open" : stateOf(video), language].join() : `none,${language}`;
  if (key !== shownKey) {
    shownKey = key;
    shownParts = {};
    get("clip-view").replaceChildren(...viewOf(video));
  }
  if (video && isOpen(video)) updateOpen(video);
}
function viewOf(video) {
  if (!video) return [emptyView()];
  if (isOpen(video)) return openView(video);
  return stateOf(video) === "completed" ? doneView(video) : failedView(video);
}
const emptyView = () => make("div", {className: "empty"}, make("p", {w: "empty"}));
const promptOf = (video) => make("p", {className: "asked"}, make("bdi", {textContent: video.prompt}));

function openView(video) {
  const forming = make("div", {className: "forming"}, make("p", {className: "soft", w: "forming"}));
  if (/^\d+x\d+$/.test(video.size ?? "")) forming.style.aspectRatio = video.size.replace("x", " / ");
  const bar = make("progress", {max: 100, "aria-label": t("progress")});
  const line = make("p", {className: "between line"});
  const said = make("span"), percent = make("span", {className: "value"});
  line.append(said, percent);
  const stop = button("cancel", () => act(video, "cancel", "cancelled"));
  const free = button("release", () => act(video, "release", "released"));
  shownParts = {forming, bar, said, percent, free, seen: ""};
  return [forming, bar, line, promptOf(video), make("div", {className: "row"}, free, stop)];
}
function updateOpen(video) {
  const {bar, said, percent, free} = shownParts;
  const value = video.progress ?? 0;
  if (video.status === "in_progress") { bar.value = value; setText(percent, `${number(value)} %`); }
  else { bar.value = 0; setText(percent, ""); }
  setText(said, progressText(video));
  show(free, stateOf(video) === "held");
  const wanted = `${video.id},${video.stage},${video.stage_done},${video.progress}`;
  if (video.has?.preview && shownParts.seen !== wanted && !shownParts.loading) loadPreview(video, wanted);
}
// The next image takes the place of the last one when it is there: nothing flickers.
function loadPreview(video, wanted) {
  const parts = shownParts;
  parts.loading = true;
  const image = new Image();
  image.alt = t("preview");
  image.dataset.preview = wanted;
  const end = () => { parts.loading = false; parts.seen = wanted; };
  image.addEventListener("load", () => { end(); parts.forming.replaceChildren(image); });
  image.addEventListener("error", end);
  image.src = `${content(video, "preview")}&at=${encodeURIComponent(wanted)}`;
}

function failedView(video) {
  const isCancelled = stateOf(video) === "cancelled";
  return [
    make("p", {className: `note ${isCancelled ? "" : "bad"}`}, t(isCancelled ? "was_cancelled" : "has_failed"),
      !isCancelled && video.error?.message ? ` ${heardFault(video.error)}` : ""),
    promptOf(video),
    make("div", {className: "row"},
      button("try_again", () => once(() => ask("POST", path(video, "/duplicate")), "queued", true)),
      video.retake?.length || video.is_extension ? null : button("use_settings", () => useSettings(video)),
      button("delete", () => remove(video))),
  ];
}

function doneView(video) {
  const rate = video.fps ?? 24, address = content(video, "video");
  const [width, height] = (video.size ?? "16x9").split("x").map(Number);
  const player = make("video", {
    controls: true, loop: true, playsInline: true, preload: "auto", src: address, "aria-label": t("clip_player"),
  });
  if (video.has?.thumbnail) player.poster = content(video, "thumbnail");
  player.width = width;
  player.height = height;
  const strips = make("div", {className: "strips"});
  const holder = make("div", {className: "player"}, player, strips);
  holder.dataset.frameRate = rate;
  holder.classList.add(width > height ? "wide" : width < height ? "tall" : "square");
  soundStrips(address).then((drawn) => {
    strips.replaceChildren(...drawn);
  }, () => {
    if (video.has?.waveform) strips.replaceChildren(make("img", {src: content(video, "waveform"), alt: t("wave")}));
  }).finally(() => followPlayer(holder, viewWords()));
  shownParts = {task: make("div", {className: "edit task", hidden: true})};
  return [holder, promptOf(video), actions(video), shownParts.task, ...notesOf(video), details(video)];
}
function actions(video) {
  const from = (part) => ({[part]: {video_id: video.id, part}});
  return make("div", {className: "row"},
    button("again", () => next(path(video, "/remix"), {seed: newSeed()}), {className: "strong"}),
    video.only === "audio" ? null
      : button("new_sound", () => next("/v1/videos", {...again(video), ...from("video")})),
    video.only === "video" ? null
      : button("new_image", () => next("/v1/videos", {...again(video), ...along(video), ...from("audio")})),
    video.only === "audio" ? null : button("extend", () => openTask(video, "extend")),
    video.only ? null : button("edit_part", () => openTask(video, "edit_part")),
    // Of a clip of which parts were made anew, or of what comes before one, the form cannot say which.
    video.retake?.length || video.is_extension ? null : button("use_settings", () => useSettings(video)),
    make("a", {className: "button", href: path(video, "/download"), download: "", w: "download"}),
    button("delete", () => remove(video)));
}
// What has to be said before a clip is made longer, or a part of it anew.
function openTask(video, kind) {
  const box = shownParts.task;
  if (!box.hidden && box.dataset.kind === kind) return closeTask(kind);
  box.dataset.kind = kind;
  const isLonger = kind === "extend", length = Number(video.seconds);
  const field = (id, key, one) => make("div", {}, make("label", {htmlFor: id, w: key}), Object.assign(one, {id}));
  const time = (value) => make("input", {type: "number", min: "0", step: "any", value: Number(value.toFixed(2))});
  const text = make("textarea", {rows: 3, value: video.prompt, "aria-describedby": "task-error"});
  const wrong = make("p", {className: "error", hidden: true, id: "task-error"});
  // A window more, which takes a quarter of itself over.
  const more = time(Math.max(0.25, 0.75 * model.defaults.num_frames / model.defaults.fps));
  const start = time(length / 4), end = time(length / 2);
  const what = make("select", {}, ...[["", "part_both"], ["video", "part_video"], ["audio", "part_audio"]]
    .map(([value, key]) => make("option", {value, w: key})));
  const asked = () => isLonger ? {seconds: more.value}
    : {retake: `${Number(start.value).toFixed(3)}-${Number(end.value).toFixed(3)}${what.value && `:${what.value}`}`};
  const go = async () => {
    show(wrong, false);
    try {
      const found = {video: {id: video.id}, prompt: text.value.trim(), ...asked()};
      await begin(found, isLonger ? "/v1/videos/extensions" : "/v1/videos/edits");
      get("clip-heading").focus({preventScroll: true});
    } catch (fault) {
      setText(wrong, heardFault(fault));
      show(wrong, true);
      text.focus();
    }
  };
  box.replaceChildren(field("task-text", "prompt_short", text), ...(isLonger ? [field("task-more", "extend_by", more)]
    : [make("div", {className: "pair"}, field("task-start", "part_from", start), field("task-end", "part_to", end)),
      field("task-what", "part_what", what)]), wrong,
    make("div", {className: "row"}, button("make_clip", go, {className: "strong"}),
      button("close", () => closeTask(kind))));
  show(box, true);
  text.focus();
}
function closeTask(kind) {
  show(shownParts.task, false);
  get("clip-view").querySelector(`[data-w=${kind}]`).focus();
}
const newSeed = () => crypto.getRandomValues(new Uint32Array(1))[0] >>> 1;
function again(video) {
  const found = {prompt: video.prompt, size: video.size, num_frames: video.num_frames, fps: video.fps};
  for (const field of Object.values(sliders)) {
    if (video.settings?.[field] !== undefined) found[field] = video.settings[field];
  }
  if (video.negative_prompt) found.negative_prompt = video.negative_prompt;
  if (video.speed) found.speed = video.speed;
  return found;
}
// What holds along a clip of several parts.
const along = (video) => !video.prompt_at?.length ? {}
  : {prompt_at: video.prompt_at, ...(video.overlap === null ? {} : {overlap: video.overlap})};
// What is made out of a clip.
const next = (address, value) => once(() => send(value, address), "queued", true);
// What the model was not trained for, and apart from it what was moved to the nearest possible value.
function notesOf(video) {
  const strange = outside((video.warnings ?? []).filter((one) => !video.notes?.includes(one)));
  return [strange ? make("p", {className: "note warning", textContent: strange}) : null,
    ...(video.notes ?? []).map((one) => make("p", {className: "soft", textContent: heard(one)}))].filter(Boolean);
}

function details(video) {
  const rows = [
    ["seed", video.seed], ["size", video.size?.replace("x", " \u00d7 ")],
    ["length", t("length_of", {seconds: seconds(video.seconds), frames: video.num_frames})],
    ...Object.entries(sliders).map(([name, field]) => [name, video.settings?.[field]]),
    ["speed", video.speed], ["took", video.inference_time_s ? duration(video.inference_time_s) : null],
    ["memory", video.peak_memory_mb ? bytes(video.peak_memory_mb * 1048576) : null],
    ["part_what", video.retake?.join(", ")],
    ["made_from", (video.inputs ?? []).map((one) => inputText(video, one)).join(", ")],
    ["prompt_at", (video.prompt_at ?? [])
      .map(({time, prompt}) => `${t("seconds", {n: seconds(time)})}: ${prompt}`).join("; ")],
    ["only", video.only ? t(`only_${video.only}`) : null], ["negative", video.negative_prompt],
    ["kept_until", video.expires_at ? new Date(1000 * video.expires_at).toLocaleDateString(language) : null],
  ].filter(([, value]) => value !== null && value !== undefined && value !== "");
  const file = video.file_path ?? video.file_name;
  const found = make("details", {}, make("summary", {w: "details"}),
    make("dl", {className: "facts"}, ...rows.map(([name, value]) =>
      make("div", {}, make("dt", {w: name}), make("dd", {textContent: String(value)})))));
  if (video.enhancement?.original) {
    found.append(make("p", {}, make("span", {className: "soft", textContent: `${t("you_wrote")} `}),
      make("bdi", {textContent: video.enhancement.original})));
  }
  const where = make("p", {className: "where"}, make("span", {w: "where", className: "soft"}), " ");
  if (file) {
    const copy = button("copy", async () => {
      try { await navigator.clipboard.writeText(file); } catch { return; /* It can be marked by hand. */ }
      announce(t("copied"));
      setText(copy, t("copied"));
    }, {className: "plain"});
    where.append(make("code", {textContent: file}), " ", copy);
  } else where.append(make("span", {w: "where_download"}));
  return make("div", {}, where, found);
}

async function once(call, key = "", isChosen = false) {
  const asked = stamp();
  try {
    const made = await call();
    if (made?.object === "video") receive(made, asked);
    if (isChosen && made?.id) choose(made.id, true);
    if (key) announce(t(key));
    return made;
  } catch (fault) {
    tell(heardFault(fault));
    return null;
  }
}
const act = (video, what, key, value) => once(() => ask("POST", path(video, `/${what}`), value), key);
async function remove(video) {
  const done = await once(() => ask("DELETE", path(video)), "deleted");
  if (!done?.deleted) return;
  forget(video.id);
  focusHeading("gallery-heading");
}
function focusHeading(id) {
  get(id).tabIndex = -1;
  get(id).focus();
}
let telling = 0;
function tell(text) {
  clearTimeout(telling);
  setText(get("notice"), text);
  show(get("notice"), true);
  telling = setTimeout(() => { if (!isAway) show(get("notice"), false); }, 8000);
}
"""
"""`clips`, `choose`, `renderClip`, `act`, `once`."""
