"""The script of the page of an arena: it plays two clips in step, takes answers, and loses no vote."""

from __future__ import annotations

from typing import Final

VOTING_SCRIPT: Final = """
"use strict";
const get = (id) => document.getElementById(id);
const sides = ["left", "right"], other = {left: "right", right: "left"};
const video = {left: get("left"), right: get("right")};
const questions = [...document.querySelectorAll("fieldset[data-criterion]")];
const mustWatch = get("arena").dataset.watch === "required";
const pendingKey = "arena-pending";
let ballot = null, heard = {}, whole = {}, sound = "left", replays = 0, plays = 0, current = 0, isSending = false;

const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
const say = (text) => { get("status").textContent = text; };
const only = (text) => {
  get("pair").hidden = true; get("apart").hidden = false; get("message").textContent = text;
  for (const side of sides) { video[side].pause(); video[side].removeAttribute("src"); video[side].load(); }
};

async function call(path, value) {
  for (let wait = 1; ; wait = Math.min(2 * wait, 15)) {
    try {
      const reply = await fetch(path, {method: "POST", credentials: "same-origin", body: JSON.stringify(value),
        headers: {"Content-Type": "application/json"}});
      if (reply.status < 500) {
        return {status: reply.status, wait: Number(reply.headers.get("Retry-After") ?? 0), value: await reply.json()};
      }
    } catch { /* The server is away: the same again, which is safe. */ }
    say("The server does not answer. Trying again; nothing is lost.");
    get("message").textContent = "The server does not answer. Trying again.";
    await pause(wait);
  }
}

function show() {
  const isWatched = sides.every((side) => heard[side]);
  const answers = answersGiven();
  get("send").disabled = isSending || !answers.overall || (mustWatch && !isWatched);
  questions.forEach((one, place) => one.toggleAttribute("aria-current", place === current));
  questions.forEach((one, place) => place === current && one.setAttribute("aria-current", "true"));
  for (const side of sides) {
    video[side].parentElement.classList.toggle("heard", side === sound);
    const parts = [side === sound ? "sound on" : "muted", heard[side] ? "watched" : ""];
    get(side + "-sound").textContent = parts.filter(Boolean).join(", ");
  }
  const isPlaying = sides.some((side) => !video[side].paused && !video[side].ended);
  get("play").textContent = isPlaying ? "Pause" : "Play both";
  get("heard").textContent = isWatched ? "Both watched" : "Played twice: once with the sound of each";
}

function answersGiven() {
  const found = {};
  for (const one of questions) {
    const pressed = one.querySelector("[aria-pressed=true]");
    if (pressed) found[one.dataset.criterion] = pressed.dataset.answer;
  }
  return found;
}

function answer(question, value) {
  for (const button of question.querySelectorAll("button")) {
    button.setAttribute("aria-pressed", String(button.dataset.answer === value));
  }
  current = Math.min(questions.indexOf(question) + 1, questions.length - 1);
  show();
}

function listen(side) {
  sound = side;
  for (const one of sides) video[one].muted = one !== side;
}

async function ready() {
  await Promise.all(sides.map((side) => video[side].readyState >= 3 ? null : new Promise((resolve) => {
    video[side].addEventListener("canplay", resolve, {once: true});
    video[side].addEventListener("error", resolve, {once: true});
  })));
}

async function start(side) {
  const mine = ballot;
  listen(side);
  if (plays >= 2) replays += 1;
  plays += 1;
  for (const one of sides) { video[one].pause(); video[one].currentTime = 0; whole[one] = one === side; }
  await ready();
  if (mine !== ballot) return;
  try {
    await Promise.all(sides.map((one) => video[one].play()));
  } catch {
    if (!sides.some((one) => video[one].error)) say("Press play.");
  }
  show();
}

function toggle() {
  const playing = sides.filter((side) => !video[side].paused && !video[side].ended);
  const begun = sides.filter((side) => video[side].currentTime > 0 && !video[side].ended);
  if (playing.length) for (const side of playing) video[side].pause();
  else if (begun.length) for (const side of begun) video[side].play();
  else start(heard.left && !heard.right ? "right" : heard.right && !heard.left ? "left" : sound);
  show();
}

function switchSound() {
  listen(other[sound]);
  whole = {};
  show();
}

for (const side of sides) {
  video[side].addEventListener("ended", () => {
    if (whole[side] && sound === side) heard[side] = true;
    if (sides.every((one) => video[one].ended) && heard[sound] && !heard[other[sound]]) start(other[sound]);
    show();
  });
  video[side].addEventListener("timeupdate", () => {
    const follower = video[other[side]];
    if (side === sound && !follower.ended && !video[side].ended && !follower.seeking &&
        Math.abs(follower.currentTime - video[side].currentTime) > 0.12) {
      follower.currentTime = Math.min(video[side].currentTime, follower.duration || 0);
    }
  });
  for (const kind of ["play", "pause"]) video[side].addEventListener(kind, show);
  video[side].addEventListener("error", () => {
    if (ballot && video[side].getAttribute("src")) {
      say("A clip does not play in this browser. Load the page again, try another browser, or skip the pair.");
      get("skip").hidden = false;
    }
  });
}

async function next() {
  const {status, value} = await call("/api/ballot", {});
  if (status === 429) { await pause(2); return next(); }
  if (status !== 200) return only(value.text);
  if (value.done) return only("Thank you: you have judged every pair there is.");
  ballot = value.ballot; heard = {}; whole = {}; sound = "left"; replays = 0; plays = 0; current = 0; isSending = false;
  get("skip").hidden = true;
  get("prompt").textContent = value.prompt || "not known";
  get("lead").textContent = `Watch both clips, then say which is better. ${value.num_left} left.`;
  for (const button of document.querySelectorAll("[aria-pressed]")) button.setAttribute("aria-pressed", "false");
  for (const side of sides) video[side].src = `/media/${ballot}/${side}`;
  listen("left");
  get("apart").hidden = true; get("pair").hidden = false;
  show();
  get("play").focus();
}

async function deliver(vote) {
  for (;;) {
    const {status, wait, value} = await call("/api/vote", vote);
    if (status === 429 || (status === 422 && wait > 0)) { say(value.text); await pause(wait || 1); continue; }
    sessionStorage.removeItem(pendingKey);
    return {status, value};
  }
}

async function send() {
  if (get("send").disabled) return;
  isSending = true;
  show();
  for (const side of sides) video[side].pause();
  const vote = {ballot, answers: answersGiven(), replays,
    watched: {left: Boolean(heard.left), right: Boolean(heard.right)}};
  // Kept until the server has it: loading the page again sends it again, and it counts once.
  sessionStorage.setItem(pendingKey, JSON.stringify(vote));
  const {status, value} = await deliver(vote);
  isSending = false;
  if (status === 403) return only(value.text);
  say(status === 200 ? "Saved." : value.text);
  await next();
}

async function skip() {
  const {status, value} = await call("/api/skip", {ballot});
  say(status === 200 ? "Skipped." : value.text);
  if (status !== 429) await next();
}

for (const question of questions) {
  question.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) answer(question, button.dataset.answer);
  });
  question.addEventListener("focusin", () => { current = questions.indexOf(question); show(); });
}
get("play").addEventListener("click", toggle);
get("replay").addEventListener("click", () => start(sound));
get("switch").addEventListener("click", switchSound);
get("send").addEventListener("click", send);
get("skip").addEventListener("click", skip);

const byKey = {ArrowLeft: "left", ArrowRight: "right", ArrowDown: "tie", t: "tie", ArrowUp: "both_bad", b: "both_bad"};
document.addEventListener("keydown", (event) => {
  if (!ballot || get("pair").hidden || !get("keys").checked) return;
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const isOnControl = event.target.closest("button, input, summary, a");
  if (byKey[key]) answer(questions[current], byKey[key]);
  else if (key === "r") start(sound);
  else if (key === "s") switchSound();
  else if (/^[1-5]$/.test(key)) { current = Number(key) - 1; show(); }
  else if (key === " " && (!isOnControl || event.target === get("play"))) toggle();
  else if (key === "Enter" && (!isOnControl || event.target === get("play") || isOnControl.dataset.answer)) send();
  else return;
  event.preventDefault();
});

async function begin() {
  const secret = location.hash.slice(1);
  if (secret && secret !== "pair") {
    // The secret leaves the address at once: it stays out of histories and of what is copied.
    history.replaceState(null, "", location.pathname);
    const {status, value} = await call("/api/session", {secret});
    if (status !== 200) return only(value.text);
  }
  const pending = sessionStorage.getItem(pendingKey);
  if (pending) {
    const {status, value} = await deliver(JSON.parse(pending));
    if (status === 403) return only(value.text);
    say(status === 200 ? "Saved." : value.text);
  }
  await next();
}
begin();
"""
