// What the job learns from: totals, distributions, sample rows, and which lines were bad or left out.

import { distributionsAndSamples, showLines, totals } from "../datasets.js";
import { fill, h, path } from "../dom.js";
import { count } from "../format.js";
import { isFinal } from "../jobs.js";
import { t } from "../page.js";
import { copyButton, emptyState, loadingState } from "../parts.js";

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
    const numbers = [
      ["rows", stats.tuningDatasetExampleCount], ["tokens", stats.totalBillableTokenCount], ["characters", stats.totalTuningCharacterCount],
      ["steps", stats.tuningStepCount], ["dropped", stats.totalTruncatedExampleCount ?? 0],
    ];
    fill(this.summary,
      h("div", { class: "card padded stack" }, totals(numbers.map(([key, value]) => [t(`dataset.${key}`), value === undefined ? value : count(value)])), files),
      distributionsAndSamples(stats));
  }

  /** The report on lines, once for each state of the job. */
  async #ask() {
    if (this.asked === this.drawn) return;
    this.asked = this.drawn;
    await showLines(this.lines, this.name);
  }
}

function file(key, uri) {
  return uri ? h("div", {}, h("dt", {}, t(key)), h("dd", { class: "row tight" }, path(uri), copyButton(uri))) : null;
}
