"""Part of the script: media of one's own beside the images of both ends: images along the clip, a video or a sound."""

from __future__ import annotations

from typing import Final

MEDIA: Final = r"""
// Images along the clip: each with its second.
const moments = [];
const mostMoments = 16;
let momentNumber = 0;
function addMoment(time = "", url = null) {
  if (moments.length >= mostMoments) return null;
  momentNumber += 1;
  const id = `keyframe-${momentNumber}`, one = {url: null};
  one.time = make("input", {id: `${id}-time`, type: "number", min: "0", step: "any", value: time,
    "aria-describedby": "keyframes-error"});
  one.file = make("input", {id, type: "file", accept: "image/*", "aria-describedby": "keyframes-error"});
  one.shown = make("div", {className: "shown", hidden: true});
  one.file.addEventListener("change", () => { if (one.file.files[0]) takeMoment(one, one.file.files[0]); });
  one.box = make("div", {role: "group", className: "moment"}, make("div", {className: "time"},
    make("label", {htmlFor: one.time.id, w: "keyframe_time"}), one.time), one.shown,
    make("div", {}, make("label", {htmlFor: id, className: "button", w: "choose"}), one.file),
    button("remove", () => dropMoment(one)));
  moments.push(one);
  get("keyframes").append(one.box);
  nameMoments();
  if (url) setMoment(one, url);
  return one;
}
function nameMoments() {
  moments.forEach((one, place) => one.box.setAttribute("aria-label", t("keyframe_image", {n: number(place + 1)})));
  get("keyframe-add").disabled = moments.length >= mostMoments;
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
function dropMoment(one, isSaid = true) {
  const place = moments.indexOf(one);
  moments.splice(place, 1);
  one.box.remove();
  nameMoments();
  showError("keyframes", "");
  if (!isSaid) return;
  announce(t("keyframe_gone", {n: number(place + 1)}));
  (moments[Math.min(place, moments.length - 1)]?.time ?? get("keyframe-add")).focus();
  changed();
}
const savedMoments = () => moments.map((one) => ({time: one.time.value, url: one.url}));
function setMoments(found) {
  for (const one of [...moments]) dropMoment(one, false);
  for (const {time, url} of found ?? []) addMoment(time, url);
}
// What is still empty is said before anything is sent.
function momentFault() {
  const one = moments.find(({time, url}) => !url || !time.value.trim());
  if (!one) return null;
  return {param: "keyframes", message: t("keyframe_needs"), at: one.url ? one.time : one.file};
}
get("keyframe-add").addEventListener("click", () => { addMoment()?.time.focus(); changed(); });

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
