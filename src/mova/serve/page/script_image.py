"""Part of the script: the first and the last image of a clip, chosen, dropped, pasted or taken with a camera."""

from __future__ import annotations

from typing import Final

IMAGE: Final = r"""
// Data URLs: the same request has the same bytes whenever it is sent again.
const images = {image: null, "last-image": null};
const keptAsIs = 3000000, mostSide = 2048;
const dataUrl = (blob) => new Promise((resolve, reject) => {
  const reader = new FileReader();
  reader.onload = () => resolve(reader.result);
  reader.onerror = () => reject(reader.error);
  reader.readAsDataURL(blob);
});
function blobOf(url) {
  const [head, body] = url.split(",", 2);
  const text = atob(body);
  const found = new Uint8Array(text.length);
  for (let place = 0; place < text.length; place += 1) found[place] = text.charCodeAt(place);
  return new Blob([found], {type: /^data:([^;]*)/.exec(head)[1]});
}
const jpeg = (canvas) => new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.93));
function drawn(source, width, height) {
  const canvas = make("canvas", {width, height});
  canvas.getContext("2d").drawImage(source, 0, 0, width, height);
  return canvas;
}

// What is sent of an image, and what is seen of it; null where it is none.
async function readImage(blob, place) {
  showError(place, "");
  let seen;
  try {
    if (!blob.type.startsWith("image/")) throw new Error("another kind");
    seen = await createImageBitmap(blob);
  } catch {
    showError(place, t("no_image"));
    announce(t("no_image"));
    return null;
  }
  const scale = Math.min(1, mostSide / Math.max(seen.width, seen.height));
  // A camera's file is far more than a clip can show: it is made smaller here, and its place and date stay here too.
  const sent = scale < 1 || blob.size > keptAsIs
    ? await jpeg(drawn(seen, Math.round(seen.width * scale), Math.round(seen.height * scale))) : blob;
  return {seen, url: await dataUrl(sent)};
}
async function takeImage(blob, place = "image") {
  const read = await readImage(blob, place);
  if (!read) return;
  const {seen} = read;
  images[place] = read.url;
  showImage(seen, place);
  saveDraft();
  announce(t(place === "image" ? "image_taken" : "last_image_taken", {width: seen.width, height: seen.height}));
}

function smallImage(seen) {
  const scale = Math.min(1, 480 / Math.max(seen.width, seen.height));
  const canvas = drawn(seen, Math.max(1, Math.round(seen.width * scale)), Math.max(1, Math.round(seen.height * scale)));
  canvas.setAttribute("role", "img");
  return canvas;
}
function showImage(seen, place) {
  const canvas = smallImage(seen);
  canvas.dataset.label = place === "image" ? "image_shown" : "last_image";
  canvas.setAttribute("aria-label", t(canvas.dataset.label));
  get(`${place}-shown`).replaceChildren(canvas);
  show(get(`${place}-shown`), true);
  show(get(`${place}-remove`), true);
  if (place !== "image") get("media").open = true;
}

async function setImage(url, place = "image") {
  if (!url) return dropImage(place);
  images[place] = url;
  try { showImage(await createImageBitmap(blobOf(url)), place); } catch { dropImage(place); }
}

function dropImage(place = "image") {
  images[place] = null;
  get(place).value = "";
  get(`${place}-shown`).replaceChildren();
  show(get(`${place}-shown`), false);
  show(get(`${place}-remove`), false);
  showError(place, "");
  saveDraft();
}

const firstImage = (list) => [...(list ?? [])].find((one) => one.type.startsWith("image/"));
for (const place of Object.keys(images)) {
  get(place).addEventListener("change", () => { if (get(place).files[0]) takeImage(get(place).files[0], place); });
  get(`${place}-remove`).addEventListener("click", () => { dropImage(place); get(place).focus(); });
}
const drop = get("drop");
// Texts may be dragged and pasted as ever.
const hasFile = (data) => [...(data?.types ?? [])].includes("Files");
document.addEventListener("dragover", (event) => {
  if (!hasFile(event.dataTransfer)) return;
  event.preventDefault();
  drop.classList.add("over");
});
document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) drop.classList.remove("over"); });
document.addEventListener("drop", (event) => {
  if (!hasFile(event.dataTransfer)) return;
  event.preventDefault();
  drop.classList.remove("over");
  const file = event.dataTransfer.files[0];
  if (file) takeFile(file);
});
document.addEventListener("paste", (event) => {
  const file = firstImage(event.clipboardData?.files);
  if (!file || (event.target.matches("input, textarea") && event.clipboardData.types.includes("text/plain"))) return;
  event.preventDefault();
  takeImage(file);
});

let stream = null;
function closeCamera() {
  for (const track of stream?.getTracks() ?? []) track.stop();
  stream = null;
  get("camera-view").replaceChildren();
  show(get("camera-view"), false);
}
async function openCamera() {
  if (stream) return closeCamera();
  showError("image", "");
  try {
    stream = await navigator.mediaDevices.getUserMedia({video: {facingMode: "environment"}});
  } catch {
    showError("image", t("no_camera"));
    announce(t("no_camera"));
    return;
  }
  const video = make("video", {
    muted: true, playsInline: true, "data-label": "camera_view", "aria-label": t("camera_view"),
  });
  video.srcObject = stream;
  const take = async () => {
    const seen = drawn(video, video.videoWidth, video.videoHeight);
    leave();
    await takeImage(await jpeg(seen));
  };
  const leave = () => { closeCamera(); get("camera").focus(); };
  const buttons = make("div", {className: "row"}, button("take", take), button("close", leave));
  get("camera-view").replaceChildren(video, buttons);
  show(get("camera-view"), true);
  await video.play();
  buttons.firstChild.focus();
}
show(get("camera"), Boolean(navigator.mediaDevices?.getUserMedia));
get("camera").addEventListener("click", openCamera);
"""
"""`images`, `setImage`, `takeImage`."""
