// A conversation with a model, or with two beside each other.

import { button, fill, h, icon, main, symbolButton } from "../dom.js";
import { pageOf, t, testOf } from "../page.js";
import { confirm, emptyState, errorState, toast } from "../parts.js";
import { AnswerView, promptView, unasked } from "./chat_turns.js";
import { contentsOf, newAnswer, run } from "./chat_answer.js";
import { showCode } from "./chat_code.js";
import { Settings } from "./chat_settings.js";
import { forget, kept, lastTargets, save } from "./chat_store.js";
import { Choices, isTarget } from "./chat_targets.js";

const NEAR = 96;  // pixels above the end of the page that still count as its end
const LOOK_FIRST = 400;  // milliseconds without a token after which the model may be loading
const LOOK_AGAIN = 1500;

const asked = new URL(location.href).searchParams;
// `laidAside` is what was being written when the last prompt was taken up again; null while none is edited.
const chat = { targets: [], turns: [], running: null, laidAside: null };
const choices = new Choices();
const views = new Map();
const growing = new Set();
let frame = 0;

const settings = new Settings();
const selects = ["chat.model", "chat.second"].map((key, i) => choices.select(t(key), (target) => choose(chat.targets.with(i, target))));
const pair = button(t("chat.pair"), () => choose(chat.targets[1] ? [chat.targets[0]] : [chat.targets[0], choices.partner(chat.targets[0])]), { symbol: "columns", "aria-pressed": "false", disabled: true });
const getCode = button(t("chat.code"), () => settings.valid() && showCode(requests()), { symbol: "code" });
const clear = symbolButton("bin", t("chat.clear"), askToClear, { look: "" });
const models = h("div", { class: "chat-models" }, selects.map(({ element }) => element));
const log = h("section", { class: "chat-log", "aria-label": t("chat.log") });
const heard = h("div", { class: "visually-hidden", "aria-live": "polite" });
const input = h("textarea", { class: "input", rows: 2, autofocus: true, placeholder: t("chat.prompt"), "aria-label": t("chat.prompt"), "aria-describedby": "chat-keys", keydown: pressed });
const send = button(t("chat.send"), sendOrStop, { look: "primary", symbol: "up" });
const hint = h("p", { class: "hint", id: "chat-keys" });
const composer = h("form", { class: "composer" }, h("div", { class: "composer-line" }, input, send), hint);
const place = h("div", { class: "chat" }, h("div", { class: "card chat-card" }, models, log, composer), settings.element);

fill(main, h("div", { class: "head" }, h("h1", {}, t("nav.test")), h("div", { class: "actions" }, pair, getCode, clear)), heard, place);
composer.addEventListener("submit", (event) => event.preventDefault());
for (const leaving of ["pagehide", "visibilitychange"]) window.addEventListener(leaving, keep);
begin();

/** With what the address names; else what was looked at last; else the newest model. */
async function begin() {
  const named = [asked.get("target"), asked.get("beside")].filter(isTarget);
  const known = named.length ? named : lastTargets();
  if (known.length) open(known);
  else showComposer();
  try {
    await choices.load();
  } catch (error) {
    if (!known.length) return fill(place, h("div", { class: "card" }, errorState(error, () => location.reload())));
    toast(error.message, "bad");
  }
  pair.disabled = !known.length && !choices.first;  // until now, nobody knew what to put beside a model
  if (known.length) return show();
  if (choices.first) return open([choices.first]);
  const more = [h("a", { class: "button", href: pageOf("baseModels") }, t("nav.baseModels"))];
  fill(place, h("div", { class: "card" }, emptyState({ symbol: "chat", title: t("chat.none.title"), text: t("chat.none.text"), more })));
}

function open(targets) {
  const { draft, ...rest } = kept(targets);
  Object.assign(chat, { targets, ...rest });
  input.value ||= draft;
  show();
  if (chat.turns.length) toEnd();
}

/** Go on with other models: the conversation comes along, and where there is none, theirs is taken up. */
function choose(targets) {
  if (!chat.turns.length && !chat.running) return open(targets);
  forget(chat.targets);
  chat.targets = targets;
  keep();
  show();
}

function keep() {
  const { targets, turns, laidAside } = chat;
  if (targets.length) save(targets, { turns, laidAside, draft: input.value });
}

function show() {
  const { targets, turns } = chat;
  const two = targets.length > 1;
  history.replaceState(history.state, "", testOf(...targets));
  document.title = `${t("nav.test")} · ${targets.map((target) => choices.label(target)).join(" · ")} · Sintonia`;
  targets.forEach((target, i) => selects[i].show(target));
  selects[1].element.hidden = !two;
  pair.setAttribute("aria-pressed", String(two));
  place.classList.toggle("two", two);
  clear.disabled = !turns.length;
  views.clear();
  if (turns.length) showTurns(0);
  else fill(log, emptyState({ symbol: "chat", title: t("chat.first.title"), text: t(two ? "chat.first.two" : "chat.first.text") }));
  showComposer();
}

/** The turns from the one at `from` on; those before it stay as they are, however many. */
function showTurns(from) {
  while (log.children.length > from) log.lastChild.remove();
  log.append(...chat.turns.slice(from).map((turn, i) => turnView(turn, from + i)));
}

function showComposer() {
  const busy = Boolean(chat.running);
  fill(send, icon(busy ? "halt" : "up"), t(busy ? "chat.stop" : "chat.send"));
  send.classList.toggle("primary", !busy);
  const editing = chat.laidAside !== null;
  fill(hint, editing ? [t("chat.editing"), " ", h("button", { type: "button", class: "link", click: leaveEditing }, t("chat.edit.leave"))] : t("chat.keys"));
}

function turnView(turn, i) {
  const last = i === chat.turns.length - 1;
  const replies = chat.targets.map((target, column) => {
    const answer = turn.answers[column];
    const again = last && (() => ask([column]));
    if (!answer) return unasked(choices.label(target), again);
    const view = new AnswerView(answer, { label: choices.label(answer.target), again, mayAsk: () => !chat.running });
    views.set(answer, view);
    return view.element;
  });
  return h("article", { "aria-label": t("chat.turn", { number: i + 1 }) }, promptView(turn.prompt, last && edit), h("div", { class: "replies" }, replies));
}

function pressed(event) {
  if (event.key === "Escape" && chat.running) chat.running.abort();
  else if (event.key === "Escape" && chat.laidAside !== null) leaveEditing();
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  submit();
}

function sendOrStop(event) {
  if (!chat.running) submit();
  else if (event.detail < 2) chat.running.abort();  // the second click of two was meant for Send
}

function submit() {
  const prompt = input.value;
  if (chat.running || !prompt.trim() || !chat.targets.length || !settings.valid()) return;
  if (chat.laidAside !== null) chat.turns.pop();
  chat.turns.push({ prompt, answers: [] });
  input.value = chat.laidAside ?? "";
  chat.laidAside = null;
  ask(chat.targets.map((_, column) => column));
}

/** Have the last prompt answered in some of the columns, anew where it was before. */
async function ask(columns) {
  if (chat.running || !settings.valid()) return;
  chat.running = new AbortController();
  const turn = chat.turns.at(-1);
  for (const column of columns) turn.answers[column] = newAnswer(chat.targets[column]);
  fill(heard);
  keep();
  clear.disabled = false;
  showTurns(Math.max(0, chat.turns.length - 2));
  showComposer();
  toEnd();
  input.focus();
  await Promise.all(columns.map((column) => hear(turn.answers[column], bodyOf(column, turn.prompt, chat.turns.slice(0, -1)))));
  chat.running = null;
  keep();
  for (const answer of turn.answers) views.get(answer)?.show();
  showComposer();
}

async function hear(answer, body) {
  const grew = () => {
    growing.add(answer);
    frame ||= requestAnimationFrame(showGrown);
  };
  watchLoading(answer);
  await run(answer, body, { signal: chat.running.signal, grew });
  following(() => views.get(answer)?.show());
  heard.append(h("p", {}, t("chat.heard", { name: choices.label(answer.target), text: answer.error?.message ?? answer.text })));
}

/** What came since the last frame, however many pieces that were. */
function showGrown() {
  frame = 0;
  following(() => growing.forEach((answer) => views.get(answer)?.grow()));
  growing.clear();
}

/** While the first token is waited for, see whether that is because the model is being loaded. */
async function watchLoading(answer) {
  for (let wait = LOOK_FIRST; ; wait = LOOK_AGAIN) {
    await new Promise((resume) => setTimeout(resume, wait));
    if (answer.text || answer.done) return;
    const loading = await choices.isLoading(answer.target).catch(() => false);
    views.get(answer)?.isLoading(loading);
  }
}

function bodyOf(column, prompt, before) {
  return { contents: contentsOf(before, column, prompt), ...settings.request() };
}

/** What is being written would be sent; else what was sent last. */
function requests() {
  const draft = input.value.trim() && input.value;
  const { turns } = chat;
  const prompt = draft || turns.at(-1)?.prompt || t("chat.code.example");
  const before = draft && chat.laidAside === null ? turns : turns.slice(0, -1);
  return chat.targets.map((target, column) => ({ label: choices.label(target), target, body: bodyOf(column, prompt, before) }));
}

function edit() {
  chat.running?.abort();
  chat.laidAside ??= input.value;
  input.value = chat.turns.at(-1).prompt;
  showComposer();
  input.focus();
}

function leaveEditing() {
  input.value = chat.laidAside;
  chat.laidAside = null;
  showComposer();
  input.focus();
}

async function askToClear() {
  if (!(await confirm({ title: t("chat.clear.title"), text: t("chat.clear.text"), yes: t("chat.clear") }))) return;
  chat.running?.abort();
  chat.turns = [];
  if (chat.laidAside !== null) leaveEditing();
  keep();
  show();
  input.focus();
}

function toEnd() {
  window.scrollTo(0, document.documentElement.scrollHeight);
}

/** Whoever reads the end of the page goes on reading it. */
function following(change) {
  const atEnd = window.innerHeight + window.scrollY >= document.documentElement.scrollHeight - NEAR;
  change();
  if (atEnd) toEnd();
}
