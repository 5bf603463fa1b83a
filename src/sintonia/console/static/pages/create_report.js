// The report on the chosen datasets: what the server finds when it reads every row, before anything is started.

import { call, own } from "../api.js";
import { datasetChoice, distributions, showLines, totals } from "../datasets.js";
import { button, fill, h, say } from "../dom.js";
import { count, duration, size } from "../format.js";
import { t } from "../page.js";
import { emptyState, errorState, notice } from "../parts.js";
import { poll } from "../poll.js";
import { Rows } from "../rows.js";
import { startCheck } from "./create_draft.js";

export class Report {
  #drawn = "";
  #poller;

  /**
   * `changed` is told that there is another verdict; `refused`, that the API refused something of the draft: it answers
   * whether that is told at a field.
   */
  constructor(draft, changed, refused) {
    Object.assign(this, { draft, changed, refused });
    this.verdict = h("div", { role: "status" });
    this.parts = h("div", { class: "stack" });
    this.again = button(t("create.report.again"), () => this.#repeat(), { look: "small", symbol: "again" });
    this.element = h("section", { class: "stack", "aria-labelledby": "report-title" },
      h("div", { class: "section-head report-head" }, h("h2", { id: "report-title" }, t("create.report")), h("span", { class: "small muted" }, t("create.report.hint")), h("span", { class: "grow" }), this.again),
      this.verdict, this.parts);
    this.#poller = poll(() => this.#look(), (error) => error && this.#draw("", () => fill(this.verdict, h("div", { class: "card" }, errorState(error, () => this.show())))));
  }

  /** Show what belongs to the datasets that are chosen now; ask for it if need be. */
  show() {
    const { draft } = this;
    this.again.hidden = !draft.training;
    if (!draft.training) return this.#draw("none", () => fill(this.verdict, h("div", { class: "card" }, emptyState({ symbol: "file", title: t("create.report.none.title"), text: t("create.report.none.text") }))));
    if (draft.check?.key !== draft.checkKey) {
      draft.set({ check: null });
      this.#wait({});
    } else if (this.#drawn === draft.check.name) return undefined;
    return this.#poller.now();
  }

  #repeat() {
    this.draft.set({ check: null });
    this.changed();
    this.show();
  }

  async #look() {
    const { check } = this.draft;
    try {
      return await this.#ask();
    } catch (error) {
      if (error.status < 400 || error.status >= 500) throw error;
      if (error.status !== 404 || !check) return this.#refuse(error);
      this.#repeat();  // the server has forgotten it
      return true;
    }
  }

  async #ask() {
    const { draft } = this;
    const key = draft.checkKey;
    if (!draft.training) return "done";
    if (!draft.check) {
      const check = await startCheck(draft);
      if (draft.checkKey !== key) return true;  // something else was chosen meanwhile
      draft.set({ check });
    }
    const { name } = draft.check;
    const found = await call("GET", own(name));
    if (draft.check?.name !== name || draft.checkKey !== key) return true;
    if (found.state === "SUCCEEDED") return this.#judge(found);
    if (found.state === "FAILED") return this.#refuse({ message: found.error?.message ?? "", violations: [] });
    this.#wait(found.progress ?? {});
    return true;
  }

  #draw(key, fillIn) {
    this.#drawn = key;
    fill(this.parts);
    fillIn();
    this.changed();
  }

  #wait({ bytesRead = 0, bytesTotal = 0, rows = 0 }) {
    if (this.#drawn !== "wait") {
      this.#draw("wait", () => {
        this.bar = h("span");
        this.read = h("span", { class: "small muted number" });
        this.track = h("div", { class: "progress", role: "progressbar", "aria-label": t("create.report.reading"), "aria-valuemin": "0", "aria-valuemax": "100" }, this.bar);
        fill(this.verdict, h("div", { class: "card padded stack tight" }, h("div", { class: "row" }, h("strong", {}, t("create.report.reading")), this.read), this.track));
      });
    }
    const part = bytesTotal ? Math.round((100 * bytesRead) / bytesTotal) : undefined;
    this.track.classList.toggle("unknown", part === undefined);
    this.bar.style.width = part === undefined ? "" : `${part}%`;
    if (part !== undefined) this.track.setAttribute("aria-valuenow", part);
    say(this.read, rows ? t("fact.rowsRead", { count: rows }) : "");
  }

  #refuse(error) {
    this.draft.refuse(error);
    const told = this.refused();
    this.#draw(this.draft.check?.name ?? "refused", () => fill(this.verdict, notice("bad", "warning", h("strong", {}, t("create.report.unread")), told ? null : ["\n", error.message])));
    return "done";
  }

  #judge(found) {
    const { training, validation, estimates } = found;
    const both = [training, validation].filter(Boolean);
    const [bad, dropped] = ["bad", "dropped"].map((field) => both.reduce((sum, report) => sum + (report[field] ?? 0), 0));
    const verdict = { valid: Boolean(found.valid), rows: training.examples, dropped, ...(estimates && {
      recommended: estimates.epochs, batch: estimates.batchSize, seconds: estimates.seconds, tokens: training.tokens,
      measured: estimates.rateBasis.startsWith("measured"), memory: estimates.memoryBytes,
    }) };
    this.draft.set({ check: { ...this.draft.check, verdict } });
    this.draft.forgive("training_dataset_uri", "dataset_uri", "validation_dataset_uri");
    this.refused();
    const lines = h("div", {});
    this.#draw(found.name, () => {
      fill(this.verdict, verdictOf(found, bad, dropped));
      fill(this.parts,
        h("div", { class: "card padded stack" }, numbers(training, this.draft),
          validation && h("div", { class: "stack tight" }, h("h3", {}, t("dataset.validation")), numbers(validation))),
        (bad || dropped) > 0 && lines, looks(found));
      showLines(lines, found.name, both);
    });
    return "done";
  }
}

function verdictOf({ valid, training, validation }, bad, dropped) {
  // That of a file with bad lines repeats what the table below tells.
  const problems = [training, validation].filter((report) => report?.problem && !report.bad).map((report) => ["\n", report.problem]);
  if (!valid) return notice("bad", "warning", h("strong", {}, bad ? t("create.report.bad", { count: bad }) : t("create.report.useless")), problems, "\n", t("create.report.bad.todo"));
  const ready = h("strong", {}, t("create.report.good", { count: training.examples }));
  if (dropped || problems.length) return notice("wait", "warning", ready, problems, dropped ? ["\n", t("create.report.dropped", { count: dropped })] : null);
  return notice("good", "check", ready);
}

/** Distributions and rows of one dataset after the other. */
function looks({ name, training, validation }) {
  const reports = { training, ...(validation && { validation }) };
  const rows = new Rows(name);
  const place = h("div", { class: "stack" });
  const show = (dataset) => {
    const { examples, statistics } = reports[dataset];
    fill(place, distributions(statistics ?? {}), examples > 0 && rows.element);
    if (examples > 0) rows.show(dataset, examples);
  };
  show("training");
  return [validation && datasetChoice("training", show), place];
}

/** `draft` for the training dataset, which has estimates too. */
function numbers(report, draft) {
  const plan = draft && planOf(draft);
  return totals([
    [t("dataset.rows"), count(report.rows)],
    [t("dataset.tokens"), count(report.tokens)],
    [t("dataset.trained"), count(report.trainedTokens)],
    [t("dataset.longest"), count(report.longestExampleTokens)],
    [t("dataset.bad"), report.bad ? count(report.bad) : undefined],
    [t("dataset.dropped"), count(report.dropped)],
    [t("details.epochs"), plan && count(plan.epochs)],
    [t("dataset.steps"), plan && count(plan.steps)],
    [t("create.time"), plan && plan.time],
    [t("create.memory"), plan && plan.memory],
  ]);
}

/** What tuning on these rows will take with the settings of the draft; null if it is not known. */
export function planOf(draft) {
  const { verdict } = draft.check ?? {};
  if (!verdict?.recommended) return null;
  const epochs = Number(draft.epochs) || verdict.recommended;
  const batch = Number(draft.carried.hyper?.batchSize) || verdict.batch;
  return {
    epochs, batch, steps: Math.ceil(verdict.rows / batch) * epochs, tokens: verdict.tokens * epochs,
    time: t("create.about", { time: duration(Math.max(1, (verdict.seconds * epochs) / verdict.recommended)) }), measured: verdict.measured,
    memory: verdict.memory && t("create.about", { time: size(verdict.memory) }),
  };
}
