// What the job learns from: totals, distributions, rows as the model sees them, and which lines were bad or left out.

import { call, own } from "../api.js";
import { DATASETS, datasetChoice, distributions, showLines, totals } from "../datasets.js";
import { fill, h, path } from "../dom.js";
import { count } from "../format.js";
import { isFinal } from "../jobs.js";
import { t } from "../page.js";
import { copyButton, emptyState, errorState, loadingState } from "../parts.js";
import { Rows } from "../rows.js";

export class Dataset {
  #asked = "";
  #told = "";
  #visible = false;

  constructor(name) {
    this.name = name;
    const here = new URL(location.href).searchParams;
    this.chosen = here.get("set") === "validation" ? "validation" : "training";
    this.start = Math.max(1, Number.parseInt(here.get("row"), 10) || 1);
    this.choice = datasetChoice(this.chosen, (dataset) => this.#choose(dataset));
    this.choice.hidden = true;
    this.summary = h("div", { class: "stack" }, loadingState(5));
    this.lines = h("div", {});
    this.rows = new Rows(name, { turned: (number) => this.#remember(number) });
    this.element = h("div", { class: "stack" }, this.choice, this.summary);
  }

  show(job) {
    this.job = job;
    if (this.#visible) this.#look();
  }

  shown() {
    this.#visible = true;
    if (this.job) this.#look();
  }

  /** The reports on the files, once for each state of the job. */
  async #look() {
    const key = `${this.job.state} ${Boolean(this.job.tuningDataStats)}`;
    if (key === this.#asked) return;
    this.#asked = key;
    try {
      this.told = await call("GET", own(`${this.name}/dataset`));
    } catch (error) {
      this.#asked = "";
      if (!this.#told) fill(this.summary, h("div", { class: "card" }, errorState(error, () => this.#look())));
      return;
    }
    this.#draw();
  }

  #choose(dataset) {
    this.chosen = dataset;
    this.start = 1;
    this.#remember(1);
    this.#draw();
  }

  /** A refresh or a link shows the same. */
  #remember(number) {
    const here = new URL(location.href);
    for (const [name, value, usual] of [["set", this.chosen, "training"], ["row", String(number), "1"]]) {
      if (value === usual) here.searchParams.delete(name);
      else here.searchParams.set(name, value);
    }
    this.start = number;
    history.replaceState(history.state, "", here);
  }

  #draw() {
    const { job, told } = this;
    const reports = DATASETS.map((dataset) => told[dataset]).filter(Boolean);
    const spec = job.supervisedTuningSpec ?? {};
    this.choice.hidden = !spec.validationDatasetUri;
    if (!told[this.chosen] && this.chosen !== "training" && !spec.validationDatasetUri) this.chosen = "training";
    const report = told[this.chosen];
    const files = h("dl", { class: "details" }, file(spec[`${this.chosen}DatasetUri`], told[`${this.chosen}File`]));
    if (!report) {
      this.#told = "";
      const key = isFinal(job.state) ? "dataset.unread" : "dataset.reading";
      return fill(this.summary, h("div", { class: "card padded" }, files), h("div", { class: "card" }, emptyState({ symbol: "file", title: t(`${key}.title`), text: t(`${key}.text`) })));
    }
    // What an earlier answer told already is not drawn again: nobody loses the row that is being read.
    const news = JSON.stringify([this.chosen, told, job.tuningDataStats?.supervisedTuningDataStats?.tuningStepCount]);
    if (news === this.#told) return undefined;
    this.#told = news;
    fill(this.summary, h("div", { class: "card padded stack" }, totals(numbers(this.chosen, report, job)), files),
      report.bad > 0 && this.lines, distributions(report.statistics ?? {}), report.examples > 0 && this.rows.element, !report.bad && this.lines);
    showLines(this.lines, this.name, reports);
    return report.examples > 0 && this.rows.show(this.chosen, report.examples, this.start);
  }
}

function numbers(dataset, report, job) {
  const epochs = dataset === "training" ? job.supervisedTuningSpec?.hyperParameters?.epochCount : undefined;
  const steps = dataset === "training" ? job.tuningDataStats?.supervisedTuningDataStats?.tuningStepCount : undefined;
  const known = (value) => (value === undefined ? value : count(value));
  return [
    ["rows", report.rows], ["tokens", report.tokens], ["trained", report.trainedTokens], ["longest", report.longestExampleTokens],
    ["bad", report.bad || undefined], ["dropped", report.dropped], ["epochs", epochs], ["steps", steps],
    ["billed", epochs && !report.bad ? report.tokens * Number(epochs) : undefined],
  ].map(([key, value]) => [t(`dataset.${key}`), known(value)]);
}

function file(uri, state) {
  return uri ? h("div", {}, h("dt", {}, t("dataset.file")),
    h("dd", {}, h("span", { class: "row tight" }, path(uri), copyButton(uri)), (state === "DELETED" || state === "CHANGED") && h("p", { class: "small muted" }, t(`dataset.${state}`)))) : null;
}
