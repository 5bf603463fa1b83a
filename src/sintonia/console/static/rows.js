// The rows of a job's or a validation's dataset, page by page and by number.

import { call, own } from "./api.js";
import { button, fill, h, say, symbolButton } from "./dom.js";
import { count } from "./format.js";
import { t } from "./page.js";
import { copyButton, emptyState, errorState, loadingState } from "./parts.js";
import { legend, rendered, tokensOf } from "./rendered.js";

const ROWS = 5;

export class Rows {
  /** `turned` is told the number with which the page begins that is looked at. */
  constructor(name, { turned = () => {} } = {}) {
    this.name = name;
    this.turned = turned;
    this.list = h("div", { class: "stack rows" });
    this.where = h("span", { class: "small muted number", role: "status" });
    this.before = symbolButton("left", t("paging.before"), () => this.#ask(this.page.previousNumber), { look: "small" });
    this.after = symbolButton("right", t("paging.after"), () => this.#ask(this.page.nextNumber), { look: "small" });
    this.number = h("input", { class: "input", type: "number", min: "1", step: "1", required: true, inputmode: "numeric", "aria-label": t("rows.number") });
    this.go = h("form", { class: "row tight go" }, this.number, h("button", { class: "button small", type: "submit" }, t("rows.go")));
    this.go.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#ask(Math.min(Number(this.number.value), this.page.lastNumber));
    });
    this.hint = h("p", { class: "small muted" });
    this.tools = h("div", { class: "row" }, this.where, this.before, this.after, h("span", { class: "grow" }), this.go);
    this.element = h("section", {}, h("div", { class: "section-head" }, h("h2", {}, t("rows.title")), h("span", { class: "grow" }), legend()),
      h("div", { class: "stack tight" }, this.hint, this.tools, this.list));
  }

  /** Show rows of a dataset from a number on, of which so many are good. */
  show(dataset, examples, start = 1) {
    this.dataset = dataset;
    this.examples = examples;
    this.page = null;
    this.tools.hidden = true;
    fill(this.list, loadingState(6));
    return this.#ask(start);
  }

  async #ask(start) {
    const { dataset } = this;
    this.list.setAttribute("aria-busy", "true");
    try {
      const page = await call("GET", own(`${this.name}/datasetRows`), { query: { dataset, start, limit: ROWS } });
      if (dataset !== this.dataset) return undefined;
      // An address may ask for more than there is.
      if (!page.rows?.length && page.lastNumber) return this.#ask(page.lastNumber);
      this.#draw(page, start);
    } catch (error) {
      if (dataset === this.dataset) fill(this.list, h("div", { class: "card" }, errorState(error, () => this.#ask(start))));
    }
    return this.list.removeAttribute("aria-busy");
  }

  /** From the end of a page to the beginning of the next. */
  async #next() {
    await this.#ask(this.page.nextNumber);
    this.element.scrollIntoView();
    this.after.focus({ preventScroll: true });
  }

  #draw(page, start) {
    const rows = page.rows ?? [];
    const turned = this.page !== null;
    this.page = page;
    this.tools.hidden = !rows.length;
    say(this.hint, page.kept && page.kept < this.examples ? t("rows.head", { count: page.kept }) : t("rows.hint"));
    if (!rows.length) return fill(this.list, h("div", { class: "card" }, emptyState({ symbol: "file", title: t("rows.none.title"), text: t("rows.none.text") })));
    const [first, last] = [rows[0].number, rows.at(-1).number];
    say(this.where, t("rows.where", { first, last, all: page.lastNumber }));
    this.before.disabled = !page.previousNumber;
    this.after.disabled = !page.nextNumber;
    this.number.max = page.lastNumber;
    this.number.value = first;
    const gap = first > start && start > 1 && h("p", { class: "small muted" }, t("rows.gap", { number: start }));
    fill(this.list, gap, rows.map(rowCard), rows.length > 1 && page.nextNumber && h("div", { class: "paging bare" }, button(t("paging.after"), () => this.#next(), { look: "small" })));
    if (turned) this.turned(first);
    return undefined;
  }
}

function rowCard(row) {
  const { number, line, unseenTurns, sequences = [] } = row;
  const text = sequences.map(({ spans }) => spans.map((span) => span.text).join("")).join("\n\n");
  return h("article", { class: "card data-row", "aria-label": t("rows.row", { number }) },
    h("div", { class: "row data-row-head small" },
      h("h3", {}, t("rows.row", { number })), line !== number && h("span", { class: "muted" }, t("rows.line", { line })),
      h("span", { class: "muted number" }, tokensOf(row)),
      unseenTurns > 0 && h("span", { class: "chip plain wait" }, t("rows.unseen", { count: unseenTurns })),
      h("span", { class: "grow" }), copyButton(text, t("rows.copy"))),
    sequences.map((sequence, i) => [sequences.length > 1 && h("p", { class: "small muted sequence" }, t("rows.sequence", { part: i + 1, all: count(sequences.length) })), rendered(sequence)]));
}
