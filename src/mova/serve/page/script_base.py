"""First part of the script: languages, elements, calls of the API, and what is said aloud."""

from __future__ import annotations

from typing import Final

BASE: Final = r"""
const get = (id) => document.getElementById(id);
const stored = {
  get(key) { try { return JSON.parse(sessionStorage.getItem(key)); } catch { return null; } },
  // What does not fit is left out: the draft is a comfort, clips are kept by the server.
  set(key, value) { try { sessionStorage.setItem(key, JSON.stringify(value)); return true; } catch { return false; } },
  drop(key) { try { sessionStorage.removeItem(key); } catch { /* Storage is turned off. */ } },
};
const kept = (key) => { try { return JSON.parse(localStorage.getItem(key)); } catch { return null; } };

let language = words[kept("mova-language")] ? kept("mova-language")
  : navigator.languages.some((one) => /^zh/i.test(one)) && /^zh/i.test(navigator.language) ? "zh" : "en";
const t = (key, values = {}) => words[language][key].replace(/\{(\w+)\}/g, (_, name) => values[name]);

function translate(root = document) {
  document.documentElement.lang = language === "zh" ? "zh-Hans" : "en";
  for (const one of root.querySelectorAll("[data-w]")) one.textContent = t(one.dataset.w);
  for (const one of root.querySelectorAll("[data-label]")) one.setAttribute("aria-label", t(one.dataset.label));
  for (const one of root.querySelectorAll("[data-placeholder]")) one.placeholder = t(one.dataset.placeholder);
}

function make(tag, values = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(values)) {
    if (name === "on") for (const [kind, call] of Object.entries(value)) made.addEventListener(kind, call);
    else if (name === "w") { made.dataset.w = value; made.textContent = t(value); }
    else if (name in made && name !== "list") made[name] = value;
    else if (value !== false && value !== null) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}
const button = (key, call, values = {}) => make("button", {type: "button", w: key, on: {click: call}, ...values});
const setText = (one, text) => { if (one.textContent !== text) one.textContent = text; };
const show = (one, isShown) => { one.hidden = !isShown; };

// One sentence at a time, and the same sentence is not said twice.
let lastSaid = "";
function announce(text) {
  if (text === lastSaid) return;
  lastSaid = text;
  get("announced").textContent = text;
}

class Fault extends Error {
  constructor(status, error = {}) {
    super(error.message ?? t("server_error"));
    Object.assign(this, {status, param: error.param ?? null, code: error.code ?? "", nearest: error.nearest ?? null});
  }
}

// Seeds may be larger than the whole numbers that a script can hold: those are kept as texts.
const parse = (text) => JSON.parse(text.replace(/"seed":\s*(\d{16,})/g, '"seed":"$1"'));

let isAway = false;
function away(now) {
  if (now === isAway) return;
  isAway = now;
  setText(get("notice"), now ? t("away") : "");
  show(get("notice"), now);
  renderServer();
  if (!now) announce(t("back"));
}

async function ask(method, path, value, headers = {}) {
  const isForm = value instanceof FormData;
  let reply;
  try {
    reply = await fetch(path, {
      method, credentials: "same-origin", cache: "no-store",
      headers: value === undefined || isForm ? headers : {"Content-Type": "application/json", ...headers},
      body: value === undefined || isForm || typeof value === "string" ? value : JSON.stringify(value),
    });
  } catch {
    away(true);
    throw new Fault(0, {message: t("away")});
  }
  away(false);
  let said = null;
  try { said = parse(await reply.text()); } catch { /* An empty reply, or one of a proxy. */ }
  if (reply.ok) return said;
  if (reply.status === 401) openDoor();
  throw new Fault(reply.status, said?.error);
}

const seconds = (value) => Number(value).toLocaleString(language, {maximumFractionDigits: 2});
const number = (value) => Number(value).toLocaleString(language);
function duration(value) {
  if (value < 90) return t("seconds", {n: Math.max(1, Math.round(value))});
  if (value < 5400) return t("minutes", {n: Math.round(value / 60)});
  return t("hours", {n: seconds(Math.round(value / 360) / 10)});
}
function bytes(value) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const step = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, value)) / 10));
  return `${seconds((value / 1024 ** step).toPrecision(3))} ${units[step]}`;
}
const isOpen = (video) => video.status === "queued" || video.status === "in_progress";
const stateOf = (video) => video.state ?? (video.error?.code === "cancelled" ? "cancelled" : video.status);
const path = (video, rest = "") => `/v1/videos/${encodeURIComponent(video.id ?? video)}${rest}`;
const content = (video, variant) => path(video, `/content?variant=${variant}`);
function later(call, wait) {
  let timer = 0;
  return (...values) => { clearTimeout(timer); timer = setTimeout(call, wait, ...values); };
}
const pause = (wait) => new Promise((resolve) => setTimeout(resolve, wait));
const newKey = () => [...crypto.getRandomValues(new Uint8Array(16))]
  .map((one) => one.toString(16).padStart(2, "0")).join("");
"""
"""Names that the other parts use."""
