// Everything about a job, and its log.

import { call, own } from "../api.js";
import { button, fill, h, path, say } from "../dom.js";
import { count, decimal, duration, exactTime } from "../format.js";
import { baseOf, idOf, rankOf } from "../jobs.js";
import { t } from "../page.js";
import { code, copyButton, save, toast } from "../parts.js";

const KEPT = 400000;  // characters of the log on the page

export class Details {
  constructor(name) {
    this.name = name;
    this.sections = h("div", { class: "details-grid" });
    this.text = h("pre", { class: "log", tabindex: "0", "aria-label": t("details.log") });
    this.commands = h("div", {}, h("div", { class: "section-head" }, h("h2", {}, t("details.terminal"))),
      h("div", { class: "stack tight" },
        code(`sintonia jobs watch ${idOf(name)}`, t("details.watch")),
        code(`tensorboard --logdir "$SINTONIA_HOME/runs/${idOf(name)}/tensorboard"`, "TensorBoard"),
      ),
      h("p", { class: "hint" }, t("details.tensorboard")));
    this.element = h("div", { class: "stack" }, this.sections, this.commands,
      h("section", {},
        h("div", { class: "section-head" }, h("h2", {}, t("details.log")), h("span", { class: "grow" }), button(t("details.log.download"), () => this.#download(), { look: "small", symbol: "download" })),
        this.text));
    this.offset = 0;
    this.visible = false;
    this.reading = false;
    this.drawn = "";
  }

  show(job, progress) {
    this.state = progress.state;
    const { tuningDataStats, ...told } = job;
    const key = JSON.stringify(told);
    if (key !== this.drawn) {
      this.drawn = key;
      fill(this.sections, sections(job));
    }
    if (this.visible && !this.element.hidden) this.#read();
  }

  shown() {
    this.visible = true;
    this.#read();
  }

  /** What was written to the log since. */
  async #read() {
    if (this.reading) return;
    this.reading = true;
    try {
      for (;;) {
        const part = await call("GET", own(`${this.name}/log`), { query: { offset: this.offset } });
        if (!part.text) break;
        this.offset = part.nextOffset;
        const atEnd = this.text.scrollTop + this.text.clientHeight >= this.text.scrollHeight - 24;
        this.text.textContent = (this.text.textContent + part.text).slice(-KEPT);
        if (atEnd) this.text.scrollTop = this.text.scrollHeight;
      }
      if (!this.offset) say(this.text, t("details.log.empty"));
    } catch (error) {
      if (!this.offset) say(this.text, error.message);
    } finally {
      this.reading = false;
    }
  }

  async #download() {
    const parts = [];
    try {
      for (let offset = 0; ; ) {
        const part = await call("GET", own(`${this.name}/log`), { query: { offset } });
        if (!part.text) break;
        parts.push(part.text);
        offset = part.nextOffset;
      }
    } catch (error) {
      return toast(error.message, "bad");
    }
    save(`job-${idOf(this.name)}.log`, parts, "text/plain");
  }
}

function sections(job) {
  const spec = job.supervisedTuningSpec ?? {};
  const hyper = spec.hyperParameters ?? {};
  const model = job.tunedModel ?? {};
  const when = (value) => value && exactTime(value);
  const spent = job.startTime && job.endTime && duration((new Date(job.endTime) - new Date(job.startTime)) / 1000);
  return [
    section("details.job", [
      ["details.method", t("details.supervised")],
      ["models.base", baseOf(job)],
      ["details.preTuned", job.preTunedModel?.tunedModelName, "code"],
      ["details.preTunedCheckpoint", job.preTunedModel?.checkpointId],
      ["details.description", job.description],
      ["details.labels", Object.entries(job.labels ?? {}).map(([key, value]) => `${key}=${value}`).join(", ")],
      ["details.name", job.name, "code"],
    ]),
    section("details.hyper", [
      ["details.epochs", hyper.epochCount && count(hyper.epochCount)],
      ["details.adapter", rankOf(hyper.adapterSize) && count(rankOf(hyper.adapterSize))],
      ["details.multiplier", hyper.learningRateMultiplier && decimal(hyper.learningRateMultiplier)],
      ["details.rate", hyper.learningRate && decimal(hyper.learningRate)],
      ["details.batch", hyper.batchSize && count(hyper.batchSize)],
      ["details.lastOnly", t(spec.exportLastCheckpointOnly ? "yes" : "no")],
    ]),
    section("details.times", [
      ["models.created", when(job.createTime)],
      ["details.started", when(job.startTime)],
      ["details.ended", when(job.endTime)],
      ["details.spent", spent],
    ]),
    section("details.results", [
      ["details.model", model.model, "code"],
      ["checkpoint.endpoint", model.endpoint, "code"],
      ["details.experiment", job.experiment, "code"],
      ["details.metrics", job.gcsMetricsUri, "code"],
      ["details.output", job.outputUri, "code"],
      ["details.error", job.error?.message],
    ]),
  ];
}

function section(title, entries) {
  const told = entries.filter(([, value]) => value);
  if (!told.length) return null;
  const line = ([key, value, look]) => h("div", {}, h("dt", {}, t(key)),
    h("dd", { class: look ? "row tight" : "" }, look ? [path(value), copyButton(value)] : value));
  return h("section", { class: "card padded" }, h("h2", {}, t(title)), h("dl", { class: "details" }, told.map(line)));
}
