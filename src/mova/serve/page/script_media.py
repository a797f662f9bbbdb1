"""Part of the script: a video or a sound of one's own, which stays as it is while the rest is made for it."""

from __future__ import annotations

from typing import Final

MEDIA: Final = r"""
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
  get("media").open = false;
}
// What is asked for with what it is made from: JSON, or a form where there are files.
function withMedia(value) {
  const found = {...value};
  if (images.image) found.image = images.image;
  if (images["last-image"]) found.last_image = images["last-image"];
  const files = Object.entries(mediaFiles).filter(([, file]) => file);
  if (!files.length) return found;
  if (get("start").value.trim()) found.start_s = get("start").value.trim();
  const form = new FormData();
  for (const [name, one] of Object.entries(found)) {
    form.append(name, Array.isArray(one) ? one.join() : typeof one === "object" ? JSON.stringify(one) : String(one));
  }
  for (const [kind, file] of files) form.append(kind, file, kind);
  return form;
}

// What a clip was made from, back in the form.
let bringing = 0;
async function bringInputs(video) {
  const mine = ++bringing;
  for (const name of video.inputs ?? []) {
    let blob = null;
    try {
      const reply = await fetch(content(video, `input_${name}`), {credentials: "same-origin"});
      if (reply.ok) blob = await reply.blob();
    } catch { /* The server is away, which is said elsewhere. */ }
    if (mine !== bringing) return;
    if (!blob) { tell(t("input_lost", {what: t(`input_${name}`)})); continue; }
    if (name in mediaFiles) setFile(name, new File([blob], t(`input_${name}`)));
    else await setImage(await dataUrl(blob), name.replace("_", "-"));
  }
  if (video.start_s && (mediaFiles.video || mediaFiles.audio)) get("start").value = video.start_s;
  changed();
}
"""
"""`withMedia`, `takeFile`, `bringInputs`, `dropMedia`."""
