"""Part of the script: the form, its draft, what a clip will cost, and the request that is sent until it is there."""

from __future__ import annotations

from typing import Final

FORM: Final = r"""
const draftKey = "mova-draft", pendingKey = "mova-pending";
const fields = [
  "prompt", "size", "size-other", "length", "length-other", "seed", "variants", "speed", "negative", "guidance",
  "modality", "steps", "start", "only", "fit",
];
const boxes = ["first", "hold"];
const places = {
  prompt: "prompt", size: "size", width: "size", height: "size", num_frames: "length", seconds: "length", fps: "length",
  seed: "seed", n: "variants", guidance_scale: "guidance", modality_scale: "modality", num_inference_steps: "steps",
  speed: "speed", negative_prompt: "negative", image: "image", input_reference: "image", last_image: "last-image",
  video: "video-file", audio: "audio-file", start_s: "start", keyframes: "keyframes", only: "only", fit: "fit",
  prompt_at: "prompt-at",
};
const sliders = {guidance: "guidance_scale", modality: "modality_scale", steps: "num_inference_steps"};
let model = null, enhancement = null, extra = {}, isSending = false;

// Of a choice that is another one, the field in which it is written.
const fieldOf = (place) => get(`${place}-other`) && get(place).value === "" ? get(`${place}-other`) : get(place);
function showError(place, text, nearest = null) {
  const line = get(`${place}-error`), one = fieldOf(place);
  line.replaceChildren(text);
  for (const value of text && nearest && setNearest[place] ? nearestOf(place, nearest) : []) {
    line.append(" ", make("button", {type: "button", textContent: t("use", {value}), on: {click: () => {
      setNearest[place](value);
      showError(place, "");
      fieldOf(place).focus();
      changed();
    }}}));
  }
  show(line, Boolean(text));
  for (const each of [get(place), get(`${place}-other`)]) each?.removeAttribute("aria-invalid");
  if (text && one.matches("input, select, textarea")) one.setAttribute("aria-invalid", "true");
}
// The values that a button can put in: of a size both sides, of several lengths each.
function nearestOf(place, nearest) {
  if (place !== "size") return String(nearest).match(/\d+/g) ?? [];
  const sides = get("size-other").value.match(/\d+/g);
  if (sides?.length !== 2) return /^\d+x\d+$/.test(nearest) ? [nearest] : [];
  const fit = (side, by) => Math.max(1, Math.round(side / by)) * by;
  const [wide, high] = model.limits.size_multiple;
  const found = `${fit(sides[0], wide)}x${fit(sides[1], high)}`;
  return found === sides.join("x") ? [] : [found];
}
const setNearest = {
  seed: (value) => { get("seed").value = value; },
  size: (value) => chooseSize(String(value)),
  length: (value) => chooseLength(Number.parseInt(value, 10)),
};
function clearErrors() {
  for (const place of new Set(Object.values(places))) showError(place, "");
  show(get("form-error"), false);
}
function showFault(fault, isFocused = true) {
  const place = places[fault.param], text = heardFault(fault);
  if (!place) {
    setText(get("form-error"), text);
    show(get("form-error"), true);
  } else {
    showError(place, text, fault.nearest);
    const fold = get(place).closest("details");
    if (fold) fold.open = true;
    if (isFocused) (fault.at ?? (adders[place] ? get(adders[place]) : fieldOf(place))).focus();
  }
  announce(text);
}

const option = (value, text) => make("option", {value, textContent: text});
function options(one, choices, chosen) {
  const before = one.options.length ? one.value : chosen;
  one.replaceChildren(...choices.map(([value, text]) => option(value, text)));
  one.value = choices.some(([value]) => value === before) ? before : chosen;
}
const usualSize = () => model.defaults.size;
const usualLength = () => String(model.defaults.num_frames);
function fillForm() {
  const {defaults, limits, scope} = model;
  const [width, height] = defaults.size.split("x").map(Number);
  const [wide, high] = limits.size_multiple ?? [1, 1];
  const step = (value, by) => Math.max(by, Math.round(value / by) * by);
  const sizes = scope?.sizes?.length ? scope.sizes.map((one) => one.join("x"))
    : [[width, height], [height, width], [Math.min(width, height), Math.min(width, height)], [width / 2, height / 2]]
      .map(([x, y]) => `${step(x, wide)}x${step(y, high)}`);
  const other = ["", t("other")];
  options(get("size"), [...new Set([defaults.size, ...sizes])]
    .map((one) => [one, one.replace("x", " \u00d7 ")]).concat([other]), defaults.size);
  const rate = defaults.fps, stride = limits.temporal_stride ?? 1;
  const frames = scope?.num_frames?.length ? scope.num_frames
    : [0.25, 0.5, 1].map((share) => 1 + stride * Math.max(1, Math.round((defaults.num_frames - 1) * share / stride)));
  // What is longer than the model makes at once is made in parts.
  const once = limits.max_frames_at_once ?? defaults.num_frames;
  const longer = [2, 4, 8].map((times) => 1 + stride * Math.round((times * defaults.num_frames - 1) / stride))
    .filter((one) => one > once && one <= (limits.max_frames ?? 0));
  options(get("length"), [...new Set([...frames, defaults.num_frames, ...longer])].sort((one, next) => one - next)
    .map((one) => [String(one), t(one > once ? "length_parts" : "length_of",
      {seconds: seconds((one / rate).toFixed(2)), frames: one})])
    .concat([other]), usualLength());
  momentRows.name();
  promptRows.name();
  options(get("only"), [["", t("only_both")], ["video", t("only_video")], ["audio", t("only_audio")]], "");
  options(get("fit"), ["crop", "pad", "stretch"].map((one) => [one, t(`fit_${one}`)]), "crop");
  options(get("variants"), Array.from({length: Math.min(8, limits.max_variants ?? 1)},
    (_, place) => [String(place + 1), number(place + 1)]), "1");
  options(get("speed"), [["", t("speed_usual")], ...(model.speeds ?? []).map((one) => [one, one])], "");
  show(get("speed-field"), (model.speeds ?? []).length > 1);
  get("prompt").maxLength = limits.max_prompt_chars ?? 100000;
  const span = (one, low, high, by, value) => {
    Object.assign(one, {min: Math.min(low, value), max: Math.max(high, value), step: by});
    if (!one.dataset.set) { one.value = value; one.dataset.set = "1"; }
  };
  span(get("guidance"), 1, 10, 0.5, defaults.guidance_scale);
  span(get("modality"), 1, 6, 0.5, defaults.modality_scale);
  const usualSteps = defaults.num_inference_steps;
  span(get("steps"), 1, Math.min(limits.max_steps ?? 100, Math.max(50, 2 * usualSteps)), 1, usualSteps);
  show(get("first-field"), canEnhance);
  get("examples").replaceChildren(...["example_1", "example_2", "example_3"].map((key) => button(key, () => {
    get("prompt").value = t(key);
    changed();
    get("prompt").focus();
  }, {className: "chip"})));
}
function sayValues() {
  const word = (place, levels) => levels[Math.min(levels.length - 1, Math.floor(place * levels.length))];
  for (const name of Object.keys(sliders)) {
    const one = get(name), value = Number(one.value), usual = model.defaults[sliders[name]];
    const plain = value === usual ? t("usual")
      : name === "steps" ? t(value < usual ? "steps_fewer" : "steps_more")
      : t(word((value - one.min) / (one.max - one.min), [`${name}_low`, `${name}_middle`, `${name}_high`]));
    setText(get(`${name}-value`), `${number(value)} \u00b7 ${plain}`);
    one.setAttribute("aria-valuetext", `${number(value)}, ${plain}`);
  }
  show(get("size-other"), get("size").value === "");
  show(get("length-other"), get("length").value === "");
  show(get("examples"), !get("prompt").value.trim());
}
function chooseSize(text) {
  const value = text.replace(/\s*[\u00d7*]\s*/g, "x");
  const isKnown = [...get("size").options].some((one) => one.value === value);
  get("size").value = isKnown ? value : "";
  get("size-other").value = isKnown ? "" : value;
}
function chooseLength(frames) {
  const isKnown = [...get("length").options].some((one) => one.value === String(frames));
  get("length").value = isKnown ? String(frames) : "";
  get("length-other").value = isKnown ? "" : (frames / model.defaults.fps).toFixed(2);
}

// What is as the model has it is left to the model.
function asked() {
  const found = {prompt: get("prompt").value.trim()};
  const size = get("size").value || get("size-other").value.trim().replace(/\s*[\u00d7*]\s*/g, "x");
  if (size && size !== usualSize()) found.size = size;
  if (get("length").value) {
    if (get("length").value !== usualLength()) found.num_frames = Number(get("length").value);
  } else if (get("length-other").value) found.seconds = get("length-other").value;
  for (const [name, field] of Object.entries(sliders)) {
    if (Number(get(name).value) !== model.defaults[field]) found[field] = Number(get(name).value);
  }
  if (get("speed").value) found.speed = get("speed").value;
  const negative = get("negative").value.trim();
  if (negative !== (model.defaults.negative_prompt ?? "").trim()) found.negative_prompt = negative;
  if (get("seed").value.trim()) found.seed = get("seed").value.trim();
  if (get("variants").value > 1) found.n = Number(get("variants").value);
  if (get("only").value) found.only = get("only").value;
  if (get("hold").checked) found.hold = true;
  const later = savedPrompts().filter(({time, prompt}) => time && prompt);
  if (later.length) {
    found.prompt_at = later;
    // A clip along which prompts hold says how long it is.
    if (!found.seconds) found.num_frames ??= Number(usualLength());
  }
  return {...extra, ...found};
}

const outside = (warnings) => warnings?.length ? t("outside", {what: warnings.map(heard).join(t("comma"))}) : "";
const planned = ["size", "only", "num_frames", "seconds", "num_inference_steps", "speed", "guidance_scale",
  "modality_scale", "prompt", "prompt_at", "windows", "overlap"];
let planNumber = 0, planFault = null;
async function plan() {
  const mine = ++planNumber, wanted = asked(), query = new URLSearchParams();
  const text = (value) => typeof value === "object" ? JSON.stringify(value) : String(value);
  for (const name of planned) {
    if (wanted[name] !== undefined && text(wanted[name]).length <= 2000) query.set(name, text(wanted[name]));
  }
  try {
    const found = await ask("GET", `/v1/plan?${query}`);
    if (mine !== planNumber) return;
    if (planFault) { showError(planFault, ""); planFault = null; }
    const count = wanted.n ?? 1;
    setText(get("plan"), found.estimated_s
      ? t(count > 1 ? "cost_each" : "cost", {time: duration(found.estimated_s)}) : t("cost_unknown"));
    const notes = outside(found.warnings);
    const help = notes && canEnhance && !enhancement ? ` ${t("enhance_helps")}` : "";
    setText(get("prompt-note"), wanted.prompt ? notes + help : "");
    show(get("prompt-note"), Boolean(get("prompt-note").textContent));
  } catch (fault) {
    if (mine !== planNumber || fault.status === 0) return;
    setText(get("plan"), "");
    planFault = places[fault.param] ?? null;
    if (planFault) showError(planFault, heardFault(fault), fault.nearest);
  }
}
const planLater = later(() => { if (model) plan(); }, 300);

function draft() {
  const found = {enhancement, extra, moments: savedMoments(), later: savedPrompts(), ...images};
  for (const id of fields) found[id] = get(id).value;
  for (const id of boxes) found[id] = get(id).checked;
  return found;
}
function saveDraft() {
  if (!model) return;
  if (stored.set(draftKey, draft())) return;
  stored.set(draftKey, {...draft(), image: null, "last-image": null, moments: []});
}
function loadDraft(found) {
  if (!found) return;
  for (const id of fields) if (typeof found[id] === "string") get(id).value = found[id];
  for (const id of boxes) if (typeof found[id] === "boolean") get(id).checked = found[id];
  // A choice that this model has not is no choice.
  for (const id of ["size", "length", "variants", "speed", "only", "fit"]) {
    if (get(id).selectedIndex < 0) get(id).selectedIndex = 0;
  }
  enhancement = found.enhancement ?? null;
  taken = get("prompt").value;
  extra = found.extra ?? {};
  for (const place of Object.keys(images)) setImage(found[place], place);
  setMoments(found.moments);
  setPrompts(found.later);
  showEnhanced();
}
function changed() {
  sayValues();
  saveDraft();
  planLater();
}
function resetForm() {
  get("form").reset();
  for (const name of Object.keys(sliders)) delete get(name).dataset.set;
  for (const id of ["size", "length"]) get(id).value = id === "size" ? usualSize() : usualLength();
  get("negative").value = model.defaults.negative_prompt ?? "";
  get("first").checked = canEnhance && knowsFew();
  enhancement = null;
  extra = {};
  dropMedia();
  fillForm();
  clearErrors();
  showEnhanced();
  changed();
}

async function send(value, address = "/v1/videos") {
  const isForm = value instanceof FormData;
  const pending = {key: newKey(), path: address, body: isForm ? value : JSON.stringify(value)};
  // Kept until the server has it: whoever loads the page again sends it again, and it counts once.
  if (!isForm) stored.set(pendingKey, pending);
  return deliver(pending);
}
async function deliver(pending) {
  for (let wait = 1000; ; wait = Math.min(2 * wait, 15000)) {
    try {
      const made = await ask("POST", pending.path, pending.body, {"Idempotency-Key": pending.key});
      stored.drop(pendingKey);
      return made;
    } catch (fault) {
      if (fault.status !== 0 && fault.status < 500) { stored.drop(pendingKey); throw fault; }
      if (fault.status === 501 || fault.status === 507) { stored.drop(pendingKey); throw fault; }
      announce(t("sending_again"));
      await pause(wait);
    }
  }
}
async function begin(value, address = "/v1/videos") {
  const asked = stamp(), made = await send(value, address);
  receive(made, asked);
  choose(made.id);
  announce(t("queued"));
  for (const id of made.variants ?? []) if (id !== made.id) fetchClip(id).catch(() => {});
  return made;
}
function setSending(now) {
  isSending = now;
  get("send").disabled = now;
  setText(get("send"), t(now ? "sending" : "make_clip"));
}
async function submit() {
  if (isSending) return;
  clearErrors();
  if (!get("prompt").value.trim()) return showFault({param: "prompt", message: t("no_prompt")});
  const wrong = momentFault();
  if (wrong) return showFault(wrong);
  if (get("first").checked && canEnhance && !enhancement && await suggest(true)) return;
  const value = asked();
  if (enhancement) value.enhancement = enhancement;
  setSending(true);
  try {
    await begin(withMedia(value));
    get("clip-heading").focus({preventScroll: true});
    if (matchMedia("(max-width: 60rem)").matches) get("clip").scrollIntoView({block: "start"});
  } catch (fault) {
    showFault(fault);
  } finally {
    setSending(false);
  }
}
get("form").addEventListener("submit", (event) => { event.preventDefault(); submit(); });
get("form").addEventListener("input", (event) => {
  if (event.target.type === "file" || get("suggestion").contains(event.target)) return;
  if (event.target === get("prompt")) checkEnhanced();
  const place = Object.keys(adders).find((one) => get(one).contains(event.target))
    ?? event.target.id.replace("-other", "");
  if (get(`${place}-error`)) showError(place, "");
  changed();
});
get("prompt").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); submit(); }
});
get("reset-form").addEventListener("click", resetForm);

// The settings of a clip, back in the form.
function useSettings(video) {
  resetForm();
  get("prompt").value = video.prompt;
  if (video.size) chooseSize(video.size);
  if (video.num_frames) chooseLength(video.num_frames);
  for (const [name, field] of Object.entries(sliders)) {
    if (video.settings?.[field] !== undefined) get(name).value = video.settings[field];
  }
  get("seed").value = video.seed ?? "";
  get("negative").value = video.negative_prompt ?? get("negative").value;
  get("only").value = video.only ?? "";
  setPrompts(video.prompt_at);
  // What the form has no field for, and what makes another clip where it is left out.
  extra = {retries: video.retries, ...(video.windows === "joint" ? {windows: "joint"} : {}),
    ...(video.overlap === null ? {} : {overlap: video.overlap})};
  if ([...get("speed").options].some((one) => one.value === video.speed)) get("speed").value = video.speed;
  get("first").checked = false;
  enhancement = video.enhancement?.original ? {...video.enhancement, prompt: video.prompt} : null;
  taken = video.prompt;
  showEnhanced();
  changed();
  get("prompt").focus();
  announce(t("settings_taken"));
  bringInputs(video);
}
"""
"""`fillForm`, `changed`, `begin`, `useSettings`, `showFault`."""
