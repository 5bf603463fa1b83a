// Text as a model sees it: what it learns marked, special tokens quiet, and nothing of it invisible.

import { h } from "./dom.js";
import { count } from "./format.js";
import { t } from "./page.js";

// A longer stretch is shown by its ends, until somebody asks for the rest.
const LONG = { learned: 4000, other: 1200 };
// Line ends, tabs, blanks at the ends of lines, and what has no looks of its own; but not the joiners that emoji and
// several scripts are written with.
const ODD = /\n|\t|^ +| +(?=\n|$)|(?![\u200c\u200d])[\p{Cc}\p{Cf}\u2028\u2029]/gu;

/** One sequence of a row. */
export function rendered({ spans = [] }) {
  return h("div", { class: "rendered", dir: "ltr" }, spans.map((span, i) => [begins(span, spans[i - 1]) && weight(span), stretch(span)]));
}

const begins = (span, before) => span.reply && !(before?.reply && before.trained === span.trained);

/** What the loss makes of the turn of the model's that begins here. */
function weight({ trained }) {
  return h("span", { class: trained ? "weight learns" : "weight", title: t(trained ? "rows.weight.one" : "rows.weight.zero") }, t("rows.weight", { weight: trained ? 1 : 0 }));
}

function stretch({ text, kind, trained, reply }) {
  const look = trained ? "learned" : reply ? "withheld" : "";
  if (kind === "special") return h(trained ? "mark" : "span", { class: `special ${look}`, dir: "ltr" }, visible(text));
  const element = h(trained ? "mark" : "span", { class: `said ${look}` });
  element.append(...(text.length > LONG[trained ? "learned" : "other"] ? ends(element, text, trained) : visible(text)));
  return element;
}

/** Both ends of a long text, and a button that puts all of it into `element`. */
function ends(element, text, trained) {
  const limit = LONG[trained ? "learned" : "other"];
  const [head, tail] = [whole(text, limit / 2), whole(text, text.length - limit / 4)];
  const open = () => {
    element.replaceChildren(...visible(text));
    element.tabIndex = -1;
    element.focus({ preventScroll: true });
  };
  const more = h("button", { type: "button", class: "elided", click: open }, t("rows.elided", { count: tail - head }));
  return [...visible(text.slice(0, head)), more, ...visible(text.slice(tail))];
}

/** The place, or the one before it in the midst of a character. */
const whole = (text, at) => ((text.charCodeAt(at) & 0xfc00) === 0xdc00 ? at - 1 : at);

/** Text and elements that show `text`. What is only a mark is not copied with it. */
function visible(text) {
  const found = [];
  let done = 0;
  for (const { 0: odd, index } of text.matchAll(ODD)) {
    if (index > done) found.push(text.slice(done, index));
    found.push(...shown(odd));
    done = index + odd.length;
  }
  if (done < text.length) found.push(text.slice(done));
  return found;
}

function shown(odd) {
  if (odd === "\n") return [h("span", { class: "blank end", "aria-hidden": "true" }), "\n"];
  if (odd === "\t") return [h("span", { class: "blank tab" }, "\t")];
  if (odd[0] === " ") return [h("span", { class: "blank dots" }, odd)];
  const point = odd.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
  return [h("span", { class: "point" }, `U+${point}`)];
}

/** What the looks of rendered text mean. */
export function legend() {
  const entry = (look) => h("span", { class: look }, t(`rows.${look}`));
  return h("div", { class: "row small rendered-legend" }, ["learned", "said", "special"].map(entry));
}

/** `12 tokens, 3 learned` */
export const tokensOf = ({ tokens, trainedTokens }) => t("rows.tokens", { count: tokens, learned: count(trainedTokens) });
