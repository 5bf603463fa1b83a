// Everything about a job: what was really used, what came out of it, where else to go on with it, and its log.

import { address, call, own, v1 } from "../api.js";
import { button, fill, h, path, say } from "../dom.js";
import { count, decimal, duration, exactTime, percent } from "../format.js";
import { baseOf, idOf, isFinal, rankOf } from "../jobs.js";
import { commandFor, openNotebook } from "../notebook.js";
import { place, project, t, testOf } from "../page.js";
import { code, copyButton, loadingState, save, toast } from "../parts.js";
import { SERVER } from "../programs.js";
import { inShell } from "../quoting.js";

const KEPT = 400000;  // characters of the log on the page

export class Details {
  constructor(name) {
    this.name = name;
    this.sections = h("div", { class: "details-grid" });
    this.tools = h("div", { class: "details-grid ways" });
    this.text = h("pre", { class: "log", tabindex: "0", "aria-label": t("details.log") });
    this.whole = [
      this.sections,
      h("section", {}, h("div", { class: "section-head" }, h("h2", {}, t("details.tools"))), this.tools),
      h("section", {},
        h("div", { class: "section-head" }, h("h2", {}, t("details.log")), h("span", { class: "grow" }), button(t("details.log.download"), () => this.#download(), { look: "small", symbol: "download" })),
        this.text),
    ];
    this.element = h("div", { class: "stack" }, loadingState(8));
    this.offset = 0;
    this.visible = false;
    this.reading = false;
    this.setup = null;
    this.drawn = "";
  }

  show(job, progress) {
    this.job = job;
    this.state = progress.state;
    this.#draw();
    if (this.visible && !this.element.hidden) this.#look();
  }

  shown() {
    this.visible = true;
    if (this.job) this.#look();
  }

  /** Not before the first word on the setup, so that nothing moves later. */
  #draw() {
    const { tuningDataStats, ...told } = this.job;
    const key = JSON.stringify([told, this.setup]);
    if (!this.setup || key === this.drawn) return;
    if (!this.drawn) fill(this.element, this.whole);
    this.drawn = key;
    fill(this.sections, sections(this.job, this.setup));
    fill(this.tools, tools(this.job, this.setup));
  }

  #look() {
    this.#ask();
    this.#read();
  }

  /** What the trainer works with, until nothing of that can change any more. */
  async #ask() {
    if (this.settled === this.state) return;
    const { state } = this;
    try {
      this.setup = await call("GET", own(`${this.name}/setup`));
      if (this.setup.attempts || isFinal(state)) this.settled = state;
    } catch {
      this.setup ??= {};
    }
    this.#draw();
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

function sections(job, setup) {
  const spec = job.supervisedTuningSpec ?? {};
  const hyper = spec.hyperParameters ?? {};
  const model = job.tunedModel ?? {};
  const when = (value) => value && exactTime(value);
  const spent = job.startTime && job.endTime && duration((new Date(job.endTime) - new Date(job.startTime)) / 1000);
  const rate = setup.learningRate ?? hyper.learningRate;
  return [
    section("details.job", [
      ["details.method", t("details.supervised")],
      ["models.base", baseOf(job)],
      ["details.preTuned", job.preTunedModel?.tunedModelName, "code"],
      ["details.preTunedCheckpoint", job.preTunedModel?.checkpointId],
      ["place.location", place],
      ["details.description", job.description],
      ["details.labels", Object.entries(job.labels ?? {}).map(([key, value]) => `${key}=${value}`).join(", ")],
      ["details.name", job.name, "code"],
      ["models.created", when(job.createTime)],
      ["details.started", when(job.startTime)],
      ["details.ended", when(job.endTime)],
      ["details.spent", spent],
    ]),
    section("details.results", [
      ["details.model", model.model, "test"],
      ["checkpoint.endpoint", model.endpoint, "test"],
      ["details.experiment", job.experiment, "read"],
      ["details.metrics", job.gcsMetricsUri, "code"],
      ["details.output", job.outputUri, "code"],
      ["details.error", job.state !== "JOB_STATE_FAILED" && job.error?.message],  // a failure is told above all tabs
    ]),
    section("details.hyper", [
      ["details.epochs", hyper.epochCount && count(hyper.epochCount)],
      ["details.batch", hyper.batchSize && count(hyper.batchSize)],
      ["details.rate", rate && decimal(rate)],
      ["details.multiplier", hyper.learningRateMultiplier && decimal(hyper.learningRateMultiplier)],
      ["details.warmup", setup.warmupFraction && percent(setup.warmupFraction)],
      ["details.adapter", rankOf(hyper.adapterSize) && count(rankOf(hyper.adapterSize))],
      ["details.alpha", setup.adapterAlpha && decimal(setup.adapterAlpha)],
      ["details.lastOnly", t(spec.exportLastCheckpointOnly ? "yes" : "no")],
    ]),
    section("details.setup", [
      ["details.weights", setup.baseModel],
      ["details.parameters", setup.trainableParameters && count(setup.trainableParameters)],
      ["details.precision", setup.precision && `${setup.precision}, ${setup.device}`],
      ["details.longest", setup.maxExampleTokens && t("base.tokens", { count: Number(setup.maxExampleTokens) })],
      ["details.seed", setup.seed !== undefined && String(setup.seed)],
      ["details.attempts", setup.attempts && count(setup.attempts)],
    ]),
  ];
}

function section(title, entries) {
  const told = entries.filter(([, value]) => value);
  if (!told.length) return null;
  const link = { test: (name) => [testOf(name), "action.test"], read: (name) => [address(v1(name)), "details.opens"] };
  const shown = (value, look) => {
    if (!look) return value;
    const [href, title] = link[look]?.(value) ?? [];
    return [href ? h("a", { href, title: t(title) }, path(value)) : path(value), copyButton(value)];
  };
  const line = ([key, value, look]) => h("div", {}, h("dt", {}, t(key)), h("dd", { class: look ? "row tight" : "" }, shown(value, look)));
  return h("section", { class: "card padded" }, h("h2", {}, t(title)), h("dl", { class: "details" }, told.map(line)));
}

/** Other ways to go on with the job. */
function tools(job, setup) {
  const id = idOf(job.name);
  const logs = `"\${SINTONIA_HOME:-$HOME/.local/share/sintonia}/runs/${id}/tensorboard"`;
  return [
    tool(t("details.notebook"), t("details.notebook.hint"),
      h("div", {}, button(t("notebook.open"), () => openNotebook(job), { symbol: "notebook" })),
      code(`pip install jupyterlab google-cloud-aiplatform\n${commandFor(job)}`, t("details.notebook"))),
    tool(t("details.cli"), "",
      code(sintonia("jobs watch", id), t("details.watch")),
      job.tunedModel?.endpoint && code(sintonia("generate --chat", id), t("details.chat"))),
    tool(t("details.rest"), "",
      code(`curl ${inShell(SERVER + v1(job.name))} \\\n  -H "Authorization: Bearer \${SINTONIA_TOKEN:-none}"`, t("details.rest"))),
    setup.attempts && tool("TensorBoard", t("details.tensorboard"), code(`tensorboard --logdir ${logs}`, "TensorBoard")),
  ];
}

function tool(title, hint, ...ways) {
  return h("section", { class: "stack tight" }, h("div", {}, h("h3", {}, title), hint && h("p", { class: "hint" }, hint)), ways);
}

/** A command line that finds the job from anywhere; what it says by itself is left out. */
function sintonia(command, id) {
  const given = [["url", SERVER, "http://127.0.0.1:8080"], ["project", project, "local"], ["location", place, "us-central1"]];
  return [`sintonia ${command} ${id}`, ...given.filter(([, value, usual]) => value !== usual).map(([name, value]) => `--${name} ${inShell(value)}`)].join(" ");
}
