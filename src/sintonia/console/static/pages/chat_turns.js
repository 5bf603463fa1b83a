// How prompts and answers look. Whatever they say goes in as text.

import { button, fill, h, symbolButton } from "../dom.js";
import { count, decimal, instant } from "../format.js";
import { hasWords, t } from "../page.js";
import { copy, notice } from "../parts.js";

/** What to do about an error, by its HTTP status, where its own words do not say. */
const ADVICE = { 0: "chat.advice.away", 400: "chat.advice.request", 401: "", 403: "chat.advice.role", 404: "chat.advice.gone", 429: "chat.advice.busy", 503: "" };

export function promptView(prompt, edit) {
  return h("div", { class: "turn" },
    h("div", { class: "speaker" }, t("chat.you"), edit && h("span", { class: "grow" }), edit && symbolButton("edit", t("chat.edit"), edit, { look: "quiet small" })),
    h("p", {}, prompt));
}

/** A column that has no answer, as nothing stood in it when the prompt was sent. */
export function unasked(label, ask) {
  return h("div", { class: "turn model reply" }, speaker(label), h("p", { class: "muted" }, t("chat.unasked")), ask && h("div", { class: "foot" }, button(t("chat.ask"), ask, { look: "small" })));
}

const speaker = (label, ...more) => h("div", { class: "speaker" }, h("span", { class: "who" }, label), more);

export class AnswerView {
  /** `again` asks once more, false where that is not to be; `mayAsk()` tells whether it would now. */
  constructor(answer, { label, again, mayAsk }) {
    this.answer = answer;
    this.again = again;
    this.mayAsk = mayAsk;
    this.text = document.createTextNode("");
    this.said = h("p", {}, this.text);
    this.tools = h("span", { class: "row tight" });
    this.foot = h("div", { class: "foot" });
    this.element = h("div", { class: "turn model reply" }, speaker(label, h("span", { class: "grow" }), this.tools), this.said, this.foot);
    this.show();
  }

  /** Show what has come since; only what is new touches the page. */
  grow() {
    this.text.appendData(this.answer.text.slice(this.text.length));
    if (this.waiting) this.show();
  }

  isLoading(loading) {
    if (!this.waiting || this.loading === loading) return;
    this.loading = loading;
    this.show();
  }

  show() {
    const { text, done, error, finish } = this.answer;
    this.waiting = !done && !text;
    const empty = !text && done && !error && finish !== "STOPPED";
    this.text.data = empty ? t("chat.empty") : text;
    this.said.hidden = !this.text.data;
    this.said.classList.toggle("muted", empty);
    this.element.setAttribute("aria-busy", String(!done));
    fill(this.tools, done && text && symbolButton("copy", t("chat.copy"), () => copy(text), { look: "quiet small" }),
      done && !error && this.#mayAgain && symbolButton("again", t("chat.again"), this.again, { look: "quiet small" }));
    if (done) fill(this.foot, error && this.#problem(error), this.#facts());
    else fill(this.foot, h("span", { class: "chip busy" }, t(`chat.now.${this.#now}`)));
  }

  get #now() {
    if (!this.waiting) return "writing";
    return this.loading ? "loading" : "waiting";
  }

  get #mayAgain() {
    return this.again && this.mayAsk();
  }

  #problem({ message, status, name }) {
    const advice = name === "FAILED_PRECONDITION" ? "" : ADVICE[status] ?? "chat.advice.log";
    return notice("bad", "warning", h("strong", {}, t("error.title")), "\n", message, advice && ["\n", h("span", { class: "muted" }, t(advice))]);
  }

  #facts() {
    const { finish, usage, first, speed, error } = this.answer;
    const told = [
      usage && t("chat.tokens", { prompt: count(usage.prompt), answer: count(usage.answer) }),
      speed && t("chat.speed", { speed: decimal(Number(speed.toPrecision(3))) }),
      first && t("chat.first", { time: instant(first) }),
    ].filter(Boolean);
    const words = `chat.finish.${finish}`;
    return [
      finish && h("span", { class: `chip ${finish === "STOP" ? "" : "wait"}`, title: finish !== "STOPPED" && `finishReason: ${finish}` }, hasWords(words) ? t(words) : finish),
      told.map((fact) => h("span", { class: "small muted number nowrap" }, fact)),
      error && this.#mayAgain && button(t("action.again"), this.again, { look: "small" }),
    ];
  }
}
