"""Part of the script: a better wording, shown as what would change, taken, edited or left."""

from __future__ import annotations

from typing import Final

ENHANCE: Final = r"""
let canEnhance = true, isAsking = false, thenSend = false, taken = "";
const takesFrame = () => !images.image && !mediaFiles.video;
const knowsFew = () => Boolean(model?.scope?.words?.length);

function pieces(text) {
  return text.match(/[\u3400-\u9fff]|[^\s\u3400-\u9fff]+|\s+/g) ?? [];
}
// The longest common part, by words; Chinese by characters.
function difference(before, after) {
  const one = pieces(before), other = pieces(after);
  if (one.length * other.length > 1000000) return [["del", before], ["ins", after]];
  const best = Array.from({length: one.length + 1}, () => new Uint16Array(other.length + 1));
  for (let i = one.length - 1; i >= 0; i -= 1) {
    for (let j = other.length - 1; j >= 0; j -= 1) {
      best[i][j] = one[i] === other[j] ? best[i + 1][j + 1] + 1 : Math.max(best[i + 1][j], best[i][j + 1]);
    }
  }
  const found = [];
  const put = (kind, text) => {
    if (found.at(-1)?.[0] === kind) found.at(-1)[1] += text; else found.push([kind, text]);
  };
  let i = 0, j = 0;
  while (i < one.length || j < other.length) {
    if (i < one.length && j < other.length && one[i] === other[j]) { put("same", one[i]); i += 1; j += 1; }
    else if (i < one.length && (j === other.length || best[i + 1][j] >= best[i][j + 1])) { put("del", one[i]); i += 1; }
    else { put("ins", other[j]); j += 1; }
  }
  return found;
}
function common(parts) {
  const length = (wanted) => parts.filter(([kind]) => wanted.includes(kind))
    .reduce((sum, [, text]) => sum + text.trim().length, 0);
  return length(["same"]) / Math.max(1, length(["same", "del"]), length(["same", "ins"]));
}
function differenceView(before, after) {
  const parts = difference(before, after);
  // Of two texts that have little in common, each is read by itself.
  if (common(parts) < 0.4) {
    return make("dl", {className: "versions"}, make("dt", {w: "yours"}), make("dd", {textContent: before}));
  }
  return make("p", {className: "difference"},
    ...parts.map(([kind, text]) => kind === "same" ? text : make(kind, {textContent: text})));
}
const sentences = (key, list) => list?.length
  ? make("div", {}, make("h4", {w: key}),
    make("ul", {}, ...list.map((one) => make("li", {textContent: heard(one)})))) : null;

// Says whether there is something to decide; then the clip waits for it.
async function suggest(isSentNext = false) {
  const text = get("prompt").value.trim();
  if (!text) { showFault({param: "prompt", message: t("no_prompt")}); return false; }
  if (isAsking) return true;
  isAsking = true;
  thenSend = isSentNext;
  get("enhance").disabled = true;
  setText(get("enhance-state"), t("enhancing"));
  let found = null;
  try {
    const size = asked().size ?? usualSize();
    found = await ask("POST", "/v1/enhance", {prompt: text, size, ...(images.image ? {image: images.image} : {})});
  } catch (fault) {
    if (fault.status === 404 || fault.status === 501) {
      canEnhance = false;
      for (const id of ["enhance", "first-field"]) show(get(id), false);
    }
    setText(get("enhance-state"), isSentNext ? "" : heardFault(fault));
    if (!isSentNext) announce(heardFault(fault));
    return false;
  } finally {
    isAsking = false;
    get("enhance").disabled = false;
  }
  setText(get("enhance-state"), "");
  const isNew = found.prompt !== text || (found.first_frame && takesFrame());
  if (!isNew && !found.problems?.length && !found.is_fallback) {
    setText(get("enhance-state"), t("nothing_better"));
    if (!isSentNext) announce(t("nothing_better"));
    return false;
  }
  showSuggestion(found, text);
  return true;
}

function showSuggestion(found, text) {
  const box = get("suggestion");
  const edited = make("textarea", {
    id: "suggested", rows: 4, value: found.prompt, "aria-describedby": "suggested-changes",
  });
  const frame = found.first_frame && takesFrame() ? make("label", {className: "row"},
    make("input", {type: "checkbox", id: "frame", checked: true}), make("span", {w: "use_frame"})) : null;
  const seen = frame ? make("div", {className: "shown"}) : null;
  if (seen) {
    createImageBitmap(blobOf(found.first_frame)).then((drawing) => {
      const canvas = drawn(drawing, drawing.width, drawing.height);
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", t("frame_shown"));
      seen.append(canvas);
    }, () => {});
  }
  const isSame = found.prompt === text;
  box.replaceChildren(
    make("h3", {w: found.is_fallback ? "no_suggestion" : "suggestion", id: "suggestion-heading", tabIndex: -1}),
    make("div", {id: "suggested-changes"},
      isSame ? "" : differenceView(text, found.prompt),
      sentences("changes", found.changes) ?? "",
      sentences("problems", found.problems) ?? ""),
    found.is_fallback ? "" : make("label", {htmlFor: "suggested", w: "suggested_text"}),
    found.is_fallback ? "" : edited,
    frame ? make("div", {className: "row top-row"}, seen, frame) : "",
    make("div", {className: "row"},
      found.is_fallback ? "" : button(thenSend ? "use_and_make" : "use_this", () => accept(found, edited.value),
        {id: "accept", className: "strong"}),
      button(thenSend ? "keep_and_make" : "keep_mine", keepMine, {id: "keep"})));
  show(box, true);
  box.setAttribute("role", "group");
  box.setAttribute("aria-labelledby", "suggestion-heading");
  get("suggestion-heading").focus();
}
function closeSuggestion() {
  show(get("suggestion"), false);
  get("suggestion").replaceChildren();
}
async function accept(found, text) {
  const withFrame = get("frame")?.checked;
  const {first_frame: frame, ...rest} = found;
  enhancement = rest;
  taken = text.trim();
  extra = {...found.settings};
  // What has a slider is shown there.
  for (const [name, field] of Object.entries(sliders)) {
    if (extra[field] !== undefined) get(name).value = extra[field];
    delete extra[field];
  }
  get("prompt").value = text.trim();
  if (withFrame) await setImage(frame);
  finishSuggestion();
}
function keepMine() {
  enhancement = null;
  finishSuggestion(true);
}
function finishSuggestion(isKept = false) {
  const goesOn = thenSend;
  thenSend = false;
  closeSuggestion();
  showEnhanced();
  changed();
  if (!goesOn) return get("prompt").focus();
  const wasFirst = get("first").checked;
  if (isKept) get("first").checked = false;
  submit().finally(() => { get("first").checked = wasFirst; saveDraft(); });
}
function forgetEnhancement() {
  for (const [name, field] of Object.entries(sliders)) {
    if (Number(get(name).value) === enhancement?.settings?.[field]) get(name).value = model.defaults[field];
  }
  enhancement = null;
  extra = {};
  showEnhanced();
}
function showEnhanced() {
  show(get("undo"), Boolean(enhancement));
  const isEdited = enhancement && enhancement.prompt !== get("prompt").value.trim();
  setText(get("enhance-state"), enhancement ? t(isEdited ? "enhanced_edited" : "enhanced") : "");
}
// A text that was written anew is not the one that was improved.
function checkEnhanced() {
  if (!enhancement) return;
  const isOther = common(difference(taken, get("prompt").value.trim())) < 0.3;
  if (isOther) forgetEnhancement(); else showEnhanced();
}
get("enhance").addEventListener("click", () => suggest());
get("undo").addEventListener("click", () => {
  get("prompt").value = enhancement.original ?? get("prompt").value;
  forgetEnhancement();
  changed();
  get("prompt").focus();
});
"""
"""`suggest`, `showEnhanced`, `canEnhance`."""
