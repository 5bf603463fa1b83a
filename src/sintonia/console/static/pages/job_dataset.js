// What the job learns from: totals, distributions, sample rows, and which lines were bad or left out.

import { call, own } from "../api.js";
import { button, fill, h, path } from "../dom.js";
import { count } from "../format.js";
import { histogram } from "../histogram.js";
import { isFinal } from "../jobs.js";
import { t } from "../page.js";
import { copyButton, emptyState, errorState, loadingState } from "../parts.js";

const LINES = 100;
const DISTRIBUTIONS = [
  ["input", "userInputTokenDistribution"],
  ["output", "userOutputTokenDistribution"],
  ["messages", "userMessagePerExampleDistribution"],
];

export class Dataset {
  constructor(name) {
    this.name = name;
    this.summary = h("div", { class: "stack" }, loadingState(5));
    this.lines = h("div", {});
    this.element = h("div", { class: "stack" }, this.summary, this.lines);
    this.drawn = "";
    this.asked = "";
    this.visible = false;
  }

  show(job) {
    this.job = job;
    const key = `${job.state} ${Boolean(job.tuningDataStats)}`;
    if (key !== this.drawn) {
      this.drawn = key;
      this.#draw();
    }
    if (this.visible) this.#ask();
  }

  shown() {
    this.visible = true;
    if (this.job) this.#ask();
  }

  #draw() {
    const { job } = this;
    const stats = job.tuningDataStats?.supervisedTuningDataStats;
    const spec = job.supervisedTuningSpec ?? {};
    const files = h("dl", { class: "details" },
      file("dataset.training", spec.trainingDatasetUri), file("dataset.validation", spec.validationDatasetUri));
    if (!stats) {
      const key = isFinal(job.state) ? "dataset.unread" : "dataset.reading";
      fill(this.summary, h("div", { class: "card padded" }, files), h("div", { class: "card" }, emptyState({ symbol: "file", title: t(`${key}.title`), text: t(`${key}.text`) })));
      return;
    }
    const totals = [
      ["rows", stats.tuningDatasetExampleCount], ["tokens", stats.totalBillableTokenCount], ["characters", stats.totalTuningCharacterCount],
      ["steps", stats.tuningStepCount], ["dropped", stats.totalTruncatedExampleCount ?? 0],
    ].filter(([, value]) => value !== undefined);
    fill(this.summary,
      h("div", { class: "card padded stack" },
        h("dl", { class: "facts" }, totals.map(([key, value]) => h("div", {}, h("dt", {}, t(`dataset.${key}`)), h("dd", { class: "number" }, count(value))))),
        files),
      h("section", {}, h("div", { class: "section-head" }, h("h2", {}, t("dataset.distributions"))),
        h("div", { class: "histograms" }, DISTRIBUTIONS.filter(([, field]) => stats[field]).map(([key, field]) => histogram(t(`dataset.${key}`), t(`dataset.${key}.hint`), stats[field])))),
      h("section", {}, h("div", { class: "section-head" }, h("h2", {}, t("dataset.samples")), h("span", { class: "small muted" }, t("dataset.samples.hint"))),
        h("div", { class: "conversations" }, conversations(stats.userDatasetExamples ?? []).map(conversation))),
    );
  }

  /** The report on lines, once for each state of the job. */
  async #ask() {
    if (this.asked === this.drawn) return;
    this.asked = this.drawn;
    await this.#more(0, []);
  }

  async #more(offset, known) {
    let page;
    try {
      page = await call("GET", own(`${this.name}/datasetReport`), { query: { offset, limit: LINES } });
    } catch (error) {
      return fill(this.lines, h("div", { class: "card" }, errorState(error, () => this.#more(offset, known))));
    }
    const lines = [...known, ...(page.lines ?? [])];
    if (!lines.length) return fill(this.lines);
    const row = ({ dataset, line, category, reason }) => h("tr", {},
      h("td", { class: "end number", data: { label: t("report.line") } }, count(line)),
      h("td", { data: { label: t("report.file") } }, t(`dataset.${dataset}`)),
      h("td", { data: { label: t("report.what") } }, h("code", {}, category)),
      h("td", { class: "reason", data: { label: t("report.reason") } }, reason));
    const column = (key, look = "") => h("th", { scope: "col", class: look }, t(key));
    fill(this.lines, h("section", {},
      h("div", { class: "section-head" }, h("h2", {}, t("report.title")), h("span", { class: "small muted" }, t("report.hint"))),
      h("div", { class: "card table-box" },
        h("table", { class: "responsive" }, h("thead", {}, h("tr", {}, column("report.line", "end"), column("report.file"), column("report.what"), column("report.reason"))), h("tbody", {}, lines.map(row))),
        page.nextOffset !== undefined && h("div", { class: "paging" }, t("report.shown", { count: lines.length }), button(t("action.more"), () => this.#more(page.nextOffset, lines), { look: "small" })))));
  }
}

function file(key, uri) {
  return uri ? h("div", {}, h("dt", {}, t(key)), h("dd", { class: "row tight" }, path(uri), copyButton(uri))) : null;
}

/** The API tells the turns of its sample rows in one list: a row begins where the model does not speak after it spoke. */
function conversations(turns) {
  const found = [];
  turns.forEach((turn, i) => {
    const previous = turns[i - 1];
    const begins = !previous || (previous.role === "model" && turn.role !== "model" && !answers(turn));
    if (begins) found.push([]);
    found.at(-1).push(turn);
  });
  return found;
}

const answers = (turn) => (turn.parts ?? []).some((part) => part.functionResponse);

function conversation(turns) {
  return h("article", { class: "card conversation" }, turns.map((turn) => {
    const role = turn.role === "model" ? "model" : turn.role === "system" ? "system" : "user";
    return h("div", { class: `turn ${role}` },
      h("span", { class: "speaker" }, t(`role.${role}`), role === "model" && h("span", { class: "learned" }, t("dataset.learned"))),
      (turn.parts ?? []).map((part) => (part.text === undefined ? h("pre", {}, JSON.stringify(part, null, 2)) : h("p", {}, part.text))));
  }));
}
