"""Part of the script: what else a clip is made of: images and prompts along it, a video or a sound of one's own."""

from __future__ import annotations

from typing import Final

MEDIA: Final = r"""
// Rows with a second each, which are added to a list and removed from it.
function rowsOf(place, add, most, words) {
  const rows = [];
  let count = 0;
  const name = () => {
    rows.forEach((one, at) => one.box.setAttribute("aria-label", t(words.row, {n: number(at + 1)})));
    get(add).disabled = rows.length >= most;
  };
  const append = (time, rest) => {
    if (rows.length >= most) return null;
    count += 1;
    const id = `${place}-${count}`, one = {};
    one.time = make("input", {id: `${id}-time`, type: "number", min: "0", step: "any", value: time,
      "aria-describedby": `${place}-error`});
    one.box = make("div", {role: "group", className: "moment"}, make("div", {className: "time"},
      make("label", {htmlFor: one.time.id, w: words.time}), one.time), ...rest(one, id),
      button("remove", () => drop(one)));
    rows.push(one);
    get(place).append(one.box);
    name();
    return one;
  };
  const drop = (one, isSaid = true) => {
    const at = rows.indexOf(one);
    rows.splice(at, 1);
    one.box.remove();
    name();
    showError(place, "");
    if (!isSaid) return;
    announce(t(words.gone, {n: number(at + 1)}));
    (rows[Math.min(at, rows.length - 1)]?.time ?? get(add)).focus();
    changed();
  };
  return {rows, name, append, clear: () => { for (const one of [...rows]) drop(one, false); }};
}
// The button that adds a row, by the list.
const adders = {keyframes: "keyframe-add", "prompt-at": "prompt-at-add"};

// Images along the clip: each with its second.
const momentRows = rowsOf("keyframes", adders.keyframes, 16,
  {row: "keyframe_image", time: "keyframe_time", gone: "keyframe_gone"});
const moments = momentRows.rows;
function addMoment(time = "", url = null) {
  const one = momentRows.append(time, (row, id) => {
    row.url = null;
    row.file = make("input", {id, type: "file", accept: "image/*", "aria-describedby": "keyframes-error"});
    row.shown = make("div", {className: "shown", hidden: true});
    row.file.addEventListener("change", () => { if (row.file.files[0]) takeMoment(row, row.file.files[0]); });
    return [row.shown, make("div", {}, make("label", {htmlFor: id, className: "button", w: "choose"}), row.file)];
  });
  if (one && url) setMoment(one, url);
  return one;
}
function showMoment(one, seen) {
  const canvas = smallImage(seen);
  canvas.setAttribute("aria-label", t("keyframe_image", {n: number(moments.indexOf(one) + 1)}));
  one.shown.replaceChildren(canvas);
  show(one.shown, true);
  get("media").open = true;
}
async function takeMoment(one, blob) {
  const read = await readImage(blob, "keyframes");
  if (!read || !moments.includes(one)) return;
  one.url = read.url;
  showMoment(one, read.seen);
  saveDraft();
  const {width, height} = read.seen;
  announce(t("keyframe_taken", {n: number(moments.indexOf(one) + 1), width, height}));
}
async function setMoment(one, url) {
  one.url = url;
  try { showMoment(one, await createImageBitmap(blobOf(url))); } catch { one.url = null; }
}
const savedMoments = () => moments.map((one) => ({time: one.time.value, url: one.url}));
function setMoments(found) {
  momentRows.clear();
  for (const {time, url} of found ?? []) addMoment(time, url);
}
// Prompts along the clip: each holds from its second on.
const promptRows = rowsOf("prompt-at", adders["prompt-at"], 64,
  {row: "prompt_at_row", time: "prompt_at_time", gone: "prompt_at_gone"});
function addPrompt(time = "", prompt = "") {
  return promptRows.append(time, (row, id) => {
    row.text = make("textarea", {id, rows: 2, value: prompt, "aria-describedby": "prompt-at-error"});
    return [make("div", {className: "text"}, make("label", {htmlFor: id, w: "prompt_at_text"}), row.text)];
  });
}
const savedPrompts = () => promptRows.rows.map((one) => ({time: one.time.value.trim(), prompt: one.text.value.trim()}));
function setPrompts(found) {
  promptRows.clear();
  for (const {time, prompt} of found ?? []) addPrompt(time, prompt);
  if (found?.length) get("media").open = true;
}
// What is still empty is said before anything is sent.
function momentFault() {
  const one = moments.find(({time, url}) => !url || !time.value.trim());
  if (one) return {param: "keyframes", message: t("keyframe_needs"), at: one.url ? one.time : one.file};
  const row = promptRows.rows.find(({time, text}) => !time.value.trim() || !text.value.trim());
  if (!row) return null;
  return {param: "prompt_at", message: t("prompt_at_needs"), at: row.time.value.trim() ? row.text : row.time};
}
for (const [place, add] of [["keyframes", addMoment], ["prompt-at", addPrompt]]) {
  get(adders[place]).addEventListener("click", () => { add()?.time.focus(); changed(); });
}

// Files may be large: they are sent as they are, and are not in the draft.
const mediaFiles = {video: null, audio: null};
function setFile(kind, file) {
  const place = `${kind}-file`, most = model?.limits.max_upload_bytes;
  showError(place, "");
  if (file && most && file.size > most) {
    get(place).value = "";
    get("media").open = true;
    showError(place, t("file_too_large", {size: bytes(most)}));
    announce(t("file_too_large", {size: bytes(most)}));
    return;
  }
  mediaFiles[kind] = file;
  if (!file) get(place).value = "";
  setText(get(`${place}-name`), file ? `${file.name} \u00b7 ${bytes(file.size)}` : "");
  show(get(`${place}-remove`), Boolean(file));
  show(get("start-field"), Boolean(mediaFiles.video || mediaFiles.audio));
  if (file) { get("media").open = true; announce(t("file_taken", {name: file.name})); }
}
function takeFile(file) {
  const kind = file.type.split("/", 1)[0];
  if (kind in mediaFiles) setFile(kind, file); else takeImage(file);
}
for (const kind of Object.keys(mediaFiles)) {
  const place = `${kind}-file`;
  get(place).addEventListener("change", () => { if (get(place).files[0]) setFile(kind, get(place).files[0]); });
  get(`${place}-remove`).addEventListener("click", () => { setFile(kind, null); get(place).focus(); });
}

function dropMedia() {
  bringing += 1;
  for (const place of Object.keys(images)) dropImage(place);
  for (const kind of Object.keys(mediaFiles)) setFile(kind, null);
  setMoments([]);
  setPrompts([]);
  get("media").open = false;
}
// What is asked for with what it is made from: JSON, or a form where there are files.
function withMedia(value) {
  const found = {...value};
  if (images.image) found.image = images.image;
  if (images["last-image"]) found.last_image = images["last-image"];
  if (moments.length) found.keyframes = moments.map((one) => ({time: one.time.value.trim(), image: one.url}));
  const isFit = images.image || images["last-image"] || moments.length || mediaFiles.video || mediaFiles.audio;
  if (isFit && get("fit").selectedIndex) found.fit = get("fit").value;
  const files = Object.entries(mediaFiles).filter(([, file]) => file);
  if (!files.length) return found;
  if (get("start").value.trim()) found.start_s = get("start").value.trim();
  const form = new FormData();
  for (const [name, one] of Object.entries(found)) {
    const isDeep = (value) => typeof value === "object";
    form.append(name, Array.isArray(one) && !one.some(isDeep) ? one.join() : isDeep(one) ? JSON.stringify(one)
      : String(one));
  }
  for (const [kind, file] of files) form.append(kind, file, kind);
  return form;
}

function inputText(video, name) {
  const moment = (video.keyframes ?? []).find((one) => one.input === name);
  return moment ? t("input_keyframe", {time: seconds(moment.time)}) : t(`input_${name}`);
}
// What a clip was made from, back in the form.
let bringing = 0;
async function bringInputs(video) {
  const mine = ++bringing;
  const times = Object.fromEntries((video.keyframes ?? []).map((one) => [one.input, one.time]));
  for (const name of video.inputs ?? []) {
    let blob = null;
    try {
      const reply = await fetch(content(video, `input_${name}`), {credentials: "same-origin"});
      if (reply.ok) blob = await reply.blob();
    } catch { /* The server is away, which is said elsewhere. */ }
    if (mine !== bringing) return;
    if (!blob) { tell(t("input_lost", {what: inputText(video, name)})); continue; }
    if (name in times) addMoment(times[name], await dataUrl(blob));
    else if (name in mediaFiles) setFile(name, new File([blob], t(`input_${name}`)));
    else await setImage(await dataUrl(blob), name.replace("_", "-"));
  }
  get("fit").value = video.fit ?? get("fit").options[0].value;
  if (video.start_s && (mediaFiles.video || mediaFiles.audio)) get("start").value = video.start_s;
  changed();
}
"""
"""`withMedia`, `takeFile`, `bringInputs`, `dropMedia`."""
