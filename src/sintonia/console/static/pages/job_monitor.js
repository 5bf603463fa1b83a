// The job's curves, and its checkpoints.

import { call, own, v1 } from "../api.js";
import { LineChart, upTo } from "../chart.js";
import { button, fill, h, icon } from "../dom.js";
import { count, decimal, measure, percent } from "../format.js";
import { idOf, isFinal } from "../jobs.js";
import { language, t, testOf } from "../page.js";
import { copyButton, emptyState, save, toast } from "../parts.js";
import { grow, whatFollows } from "../series.js";

const CHARTS = [
  { key: "loss", train: "/train_total_loss", eval: "/eval_total_loss", format: decimal, inTable: measure },
  { key: "accuracy", train: "/train_fraction_of_correct_next_step_preds", eval: "/eval_fraction_of_correct_next_step_preds", format: percent },
  { key: "predictions", train: "/train_num_predictions", eval: "/eval_num_predictions", format: compact },
];
const ROWS = 500;

const short = new Intl.NumberFormat(language, { notation: "compact", maximumSignificantDigits: 3 });
function compact(value) {
  return Math.abs(value) < 10000 ? count(value) : short.format(value);
}

export class Monitor {
  constructor(name, changed) {
    this.name = name;
    this.changed = changed;
    this.data = {};
    this.state = {};

    this.smoothing = h("input", { type: "range", min: "0", max: "0.95", step: "0.05", value: "0", "aria-label": t("chart.smoothing"), input: () => this.#settings() });
    this.log = h("button", { type: "button", class: "button small", "aria-pressed": "false", click: () => this.#press(this.log) }, t("chart.log"));
    this.asTable = h("button", { type: "button", class: "button small", "aria-pressed": "false", click: () => this.#press(this.asTable) }, icon("table"), t("chart.table"));
    const csv = button(t("chart.csv"), () => this.#download(), { look: "small", symbol: "download" });
    this.legend = h("div", { class: "legend" },
      h("span", { class: "entry train" }, t("chart.train")), h("span", { class: "entry eval" }, t("chart.eval")),
      h("span", { class: "entry checkpoint" }, t("chart.checkpoint")),
    );
    const tools = h("div", { class: "chart-tools" }, this.legend, h("span", { class: "grow" }),
      h("label", { class: "row small muted" }, t("chart.smoothing"), this.smoothing), this.log, this.asTable, csv);

    this.charts = CHARTS.map((wanted, i) => {
      const host = h("div");
      const figure = h("figure", { class: `card chart-card ${i === 0 ? "wide" : ""}` }, h("figcaption", {}, h("h3", {}, t(`chart.${wanted.key}`)), h("span", { class: "small muted" }, t(`chart.${wanted.key}.hint`))), host);
      const chart = new LineChart(host, {
        label: t(`chart.${wanted.key}`),
        series: [{ name: wanted.train, label: t("chart.train"), look: "train" }, { name: wanted.eval, label: t("chart.eval"), look: "eval", smooth: false }],
        words: { step: t("fact.step"), empty: t("chart.empty") },
        format: wanted.format,
        formatStep: count,
        moved: (step) => this.charts.forEach((other) => other.chart !== chart && other.chart.show(step)),
      });
      return { figure, chart };
    });
    this.grid = h("div", { class: "chart-grid" }, this.charts.map(({ figure }) => figure));
    this.table = h("div", { class: "card table-box tall", hidden: true, tabindex: "0", role: "region", "aria-label": t("chart.table") });
    this.checkpoints = h("div", {});
    this.curves = h("section", { "aria-label": t("chart.title"), hidden: true }, tools, this.grid, this.table);
    this.nothing = h("div", { class: "card", hidden: true });
    this.element = h("div", { class: "stack" }, this.curves, this.nothing, this.checkpoints);
  }

  /** The step behind which `show` is to be told more. */
  get after() {
    return whatFollows(this.data);
  }

  /** `series` is what was told behind `after`; or everything, the first time. */
  show(job, progress, series) {
    this.job = job;
    const news = grow(this.data, series);
    this.#showEmpty(progress.state);
    const checkpoints = job.tunedModel?.checkpoints ?? [];
    const marked = JSON.stringify([checkpoints, job.tunedModel, isFinal(progress.state)]);
    if (news || marked !== this.state.marked) {
      const marks = checkpoints.map(({ step }) => ({ step: Number(step) }));
      this.charts.forEach(({ chart }) => chart.update({ data: this.data, marks }));
      if (!this.table.hidden) this.#drawTable();
    }
    this.legend.children[1].hidden = !this.data[CHARTS[0].eval];
    this.legend.children[2].hidden = !checkpoints.length;
    if (news || marked !== this.state.marked) this.#drawCheckpoints(checkpoints);
    if (marked !== this.state.marked) this.#askDefault(checkpoints);
    this.state.marked = marked;
  }

  #showEmpty(state) {
    const empty = !Object.keys(this.data).length;
    const key = isFinal(state) ? "chart.none" : "chart.soon";
    this.curves.hidden = empty;
    this.nothing.hidden = !empty;
    if (empty && this.state.empty !== key) fill(this.nothing, emptyState({ symbol: "curve", title: t(`${key}.title`), text: t(`${key}.text`) }));
    this.state.empty = key;
  }

  #press(toggle) {
    toggle.setAttribute("aria-pressed", String(toggle.getAttribute("aria-pressed") !== "true"));
    this.#settings();
  }

  #settings() {
    const pressed = (toggle) => toggle.getAttribute("aria-pressed") === "true";
    const settings = { smoothing: Number(this.smoothing.value), log: pressed(this.log) };
    this.charts[0].chart.update(settings);
    this.charts[1].chart.update({ smoothing: settings.smoothing });
    this.charts[2].chart.update(settings);
    this.grid.hidden = pressed(this.asTable);
    this.table.hidden = !this.grid.hidden;
    if (!this.table.hidden) this.#drawTable();
  }

  #drawTable() {
    const [steps, columns] = columnsOf(this.data);
    const shown = steps.length > ROWS ? steps.filter((_, i) => i % Math.ceil(steps.length / ROWS) === 0) : steps;
    const cell = (name, step) => {
      const chart = CHARTS.find((one) => name === one.train || name === one.eval);
      const value = columns[name].get(step);
      return h("td", { class: "end number" }, value === undefined ? "" : (chart?.inTable ?? chart?.format ?? decimal)(value));
    };
    fill(this.table,
      h("table", { class: "compact" },
        h("caption", { class: "small muted" }, shown.length < steps.length ? t("chart.thinned", { shown: shown.length, all: steps.length }) : t("chart.steps", { count: steps.length })),
        h("thead", {}, h("tr", {}, h("th", { scope: "col", class: "end" }, t("fact.step")), Object.keys(columns).map((name) => h("th", { scope: "col", class: "end" }, h("code", {}, name))))),
        h("tbody", {}, shown.map((step) => h("tr", {}, h("th", { scope: "row", class: "end number" }, count(step)), Object.keys(columns).map((name) => cell(name, step))))),
      ));
  }

  /** All points, which a long series on the page is not. */
  async #download() {
    try {
      const { series } = await call("GET", own(`${this.name}/metrics`), { query: { after: -1 } });
      const [steps, columns] = columnsOf(series);
      const names = Object.keys(columns);
      const lines = [["step", ...names], ...steps.map((step) => [step, ...names.map((name) => columns[name].get(step) ?? "")])];
      save(`metrics-${idOf(this.name)}.csv`, [lines.map((line) => line.join(",")).join("\n") + "\n"], "text/csv");
    } catch (error) {
      toast(error.message, "bad");
    }
  }

  #drawCheckpoints(checkpoints) {
    if (!checkpoints.length) return fill(this.checkpoints);
    const evals = this.data[CHARTS[0].eval];
    const trains = this.data[CHARTS[0].train];
    // A long series lacks some steps; the one before is as good as the mean of a batch can be.
    const at = (series, step) => series?.values[upTo(series.steps, Number(step))];
    const losses = checkpoints.map(({ step }) => at(evals, step));
    const least = Math.min(...losses.filter((loss) => loss !== undefined));
    const rows = checkpoints.map((checkpoint, i) => {
      const number = (value) => (value === undefined ? "–" : measure(value));
      const isDefault = this.state.default === checkpoint.checkpointId;
      return h("tr", {},
        h("th", { scope: "row", class: "row-head" }, h("span", { class: "row" }, t("checkpoint.name", { id: checkpoint.checkpointId }),
          losses[i] === least && h("span", { class: "chip plain good" }, t("checkpoint.best")),
          isDefault && h("span", { class: "chip plain busy" }, t("checkpoint.default")))),
        h("td", { class: "end number", data: { label: t("fact.epoch") } }, count(checkpoint.epoch ?? 0)),
        h("td", { class: "end number", data: { label: t("fact.step") } }, count(checkpoint.step ?? 0)),
        h("td", { class: "end number", data: { label: t("checkpoint.trainLoss") } }, number(at(trains, checkpoint.step))),
        h("td", { class: "end number", data: { label: t("checkpoint.evalLoss") } }, number(losses[i])),
        h("td", { class: "endpoint", data: { label: t("checkpoint.endpoint") } }, checkpoint.endpoint ? h("span", { class: "row tight" }, h("code", {}, idOf(checkpoint.endpoint)), copyButton(checkpoint.endpoint, t("action.copyEndpoint"))) : "–"),
        h("td", { class: "end" }, h("span", { class: "row tight end" },
          checkpoint.endpoint && h("a", { class: "button small", href: testOf(checkpoint.endpoint) }, t("action.test")),
          this.state.default && !isDefault && button(t("checkpoint.makeDefault"), () => this.#makeDefault(checkpoint.checkpointId), { look: "small", data: { needs: "TUNER" } }))),
      );
    });
    const column = (key, end) => h("th", { scope: "col", class: end ? "end" : "" }, t(key));
    fill(this.checkpoints, h("section", {},
      h("div", { class: "section-head" }, h("h2", {}, t("checkpoint.title")), h("span", { class: "small muted" }, t("checkpoint.hint"))),
      h("div", { class: "card table-box" }, h("table", { class: "responsive narrow" },
        h("thead", {}, h("tr", {}, column("checkpoint.column"), column("fact.epoch", true), column("fact.step", true), column("checkpoint.trainLoss", true), column("checkpoint.evalLoss", true), column("checkpoint.endpoint"), h("th", {}, h("span", { class: "visually-hidden" }, t("models.actions"))))),
        h("tbody", {}, rows),
      )),
    ));
  }

  async #askDefault(checkpoints) {
    const { model } = this.job.tunedModel ?? {};
    if (!model || !checkpoints.length) return;
    try {
      const { defaultCheckpointId } = await call("GET", v1(model), { query: { fields: "defaultCheckpointId" } });
      this.state.default = defaultCheckpointId;
    } catch {
      return;  // the model was deleted: nothing is its default
    }
    this.#drawCheckpoints(checkpoints);
  }

  async #makeDefault(id) {
    try {
      await call("PATCH", v1(this.job.tunedModel.model), { query: { updateMask: "defaultCheckpointId" }, body: { defaultCheckpointId: id } });
      toast(t("checkpoint.done", { id }));
    } catch (error) {
      return toast(error.message, "bad");
    }
    this.state.marked = "";
    await this.changed();
    await this.#askDefault(this.job.tunedModel.checkpoints);
  }
}

/** All steps of some series, and each series as a map from step to value. */
function columnsOf(series) {
  const columns = {};
  const order = CHARTS.flatMap((chart) => [chart.train, chart.eval]);
  const place = ([name]) => (order.includes(name) ? order.indexOf(name) : order.length);
  for (const [name, { steps, values }] of Object.entries(series).sort((a, b) => place(a) - place(b))) columns[name] = new Map(steps.map((step, i) => [step, values[i]]));
  const steps = [...new Set(Object.values(columns).flatMap((column) => [...column.keys()]))].sort((a, b) => a - b);
  return [steps, columns];
}
