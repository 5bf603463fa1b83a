// What a tab keeps of its conversations, until it is closed.

import { parent } from "../page.js";

const LAST = `sintonia.chat:${parent}`;
const SETTINGS = "sintonia.chat.settings";
const talk = (targets) => `${LAST}:${targets.join(" ")}`;

export const lastTargets = () => read(LAST) ?? [];
export const savedSettings = () => read(SETTINGS) ?? {};
export const saveSettings = (values) => write(SETTINGS, values);
export const forget = (targets) => sessionStorage.removeItem(talk(targets));

/** The conversation with one target, or with two beside each other. What was being answered is not any more. */
export function kept(targets) {
  const { turns = [], draft = "", laidAside = null } = read(talk(targets)) ?? {};
  for (const answer of turns.flatMap((turn) => turn.answers)) {
    if (answer && !answer.done) Object.assign(answer, { done: true, finish: "STOPPED" });
  }
  return { turns, draft, laidAside };
}

export function save(targets, conversation) {
  write(LAST, targets);
  write(talk(targets), conversation);
}

function read(key) {
  try {
    return JSON.parse(sessionStorage.getItem(key));
  } catch {
    return null;
  }
}

/** A conversation that is too long to be kept goes on, and is lost with the page. */
function write(key, value) {
  try {
    sessionStorage.setItem(key, JSON.stringify(value));
  } catch {
    sessionStorage.removeItem(key);
  }
}
