"""Part of the script: the first image of a clip, chosen, dropped, pasted or taken with a camera."""

from __future__ import annotations

from typing import Final

IMAGE: Final = r"""
// It is a data URL: the same request has the same bytes whenever it is sent again.
let image = null;
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

async function takeImage(blob, isAnnounced = true) {
  showError("image", "");
  let seen;
  try {
    if (!blob.type.startsWith("image/")) throw new Error("another kind");
    seen = await createImageBitmap(blob);
  } catch {
    showError("image", t("no_image"));
    announce(t("no_image"));
    return;
  }
  const scale = Math.min(1, mostSide / Math.max(seen.width, seen.height));
  // A camera's file is far more than a clip can show: it is made smaller here, and its place and date stay here too.
  const sent = scale < 1 || blob.size > keptAsIs
    ? await jpeg(drawn(seen, Math.round(seen.width * scale), Math.round(seen.height * scale))) : blob;
  image = await dataUrl(sent);
  showImage(seen);
  saveDraft();
  if (isAnnounced) announce(t("image_taken", {width: seen.width, height: seen.height}));
}

function showImage(seen) {
  const scale = Math.min(1, 480 / Math.max(seen.width, seen.height));
  const canvas = drawn(seen, Math.max(1, Math.round(seen.width * scale)), Math.max(1, Math.round(seen.height * scale)));
  canvas.setAttribute("role", "img");
  canvas.dataset.label = "image_shown";
  canvas.setAttribute("aria-label", t("image_shown"));
  get("image-shown").replaceChildren(canvas);
  show(get("image-shown"), true);
  show(get("image-remove"), true);
}

async function setImage(url) {
  if (!url) return dropImage();
  image = url;
  try { showImage(await createImageBitmap(blobOf(url))); } catch { dropImage(); }
}

function dropImage() {
  image = null;
  get("image").value = "";
  get("image-shown").replaceChildren();
  show(get("image-shown"), false);
  show(get("image-remove"), false);
  showError("image", "");
  saveDraft();
}

const firstImage = (list) => [...(list ?? [])].find((one) => one.type.startsWith("image/"));
get("image").addEventListener("change", () => { if (get("image").files[0]) takeImage(get("image").files[0]); });
get("image-remove").addEventListener("click", () => { dropImage(); get("image").focus(); });
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
  if (file) takeImage(file);
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
"""`image`, `setImage`, `takeImage`."""
