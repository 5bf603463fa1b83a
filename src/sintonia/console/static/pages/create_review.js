// Step 3: everything at one glance, and the same job as code.

import { button, fill, h, path } from "../dom.js";
import { count, decimal } from "../format.js";
import { openNotebook } from "../notebook.js";
import { t } from "../page.js";
import { code } from "../parts.js";
import { inCurl, inGenai, inVertexai } from "./create_code.js";
import { jobOf } from "./create_draft.js";
import { planOf } from "./create_report.js";

const PROGRAMS = [["curl", "curl", inCurl], ["vertexai", "Python · vertexai", inVertexai], ["genai", "Python · google-genai", inGenai]];

export class ReviewStep {
  constructor(draft) {
    this.draft = draft;
    this.summary = h("div", { class: "details-grid" });
    this.code = h("div", {});
    this.chosen = PROGRAMS[0][0];
    const segment = ([id, label]) => h("label", { class: "segment" },
      h("input", { type: "radio", name: "program", value: id, checked: id === this.chosen, change: () => ((this.chosen = id), this.#showCode()) }), h("span", {}, label));
    this.element = h("div", { class: "stack wizard-step" },
      h("h2", { tabindex: "-1", class: "visually-hidden" }, t("create.step.review")), this.summary,
      h("details", { class: "card disclosure" }, h("summary", {}, h("h2", {}, t("create.code")), h("span", { class: "small muted" }, t("create.code.hint"))),
        h("div", { class: "stack tight" },
          h("div", { class: "row" }, h("div", { class: "segments", role: "radiogroup", "aria-label": t("create.code") }, PROGRAMS.map(segment)), h("span", { class: "grow" }),
            button(t("notebook.open"), () => openNotebook(jobOf(draft), draft.region), { look: "small", symbol: "notebook" })),
          this.code, h("p", { class: "hint" }, t("create.code.token")))));
  }

  shown() {
    const { draft } = this;
    const { verdict } = draft;
    const plan = planOf(draft);
    const hyper = draft.carried.hyper ?? {};
    const tuned = draft.source === "tuned";
    fill(this.summary,
      section("create.review.model", "model", [
        ["models.name", draft.name || t("create.name.auto")],
        ["details.method", t("details.supervised")],
        ["models.base", draft.base],
        ["details.preTuned", tuned && draft.tuned.displayName],
        ["details.model", tuned && path(draft.tuned.name)],
        ["details.preTunedCheckpoint", tuned && (draft.tuned.checkpoint || t("checkpoint.default"))],
        ["create.region", draft.region],
        ["details.description", draft.carried.description],
        ["details.labels", Object.entries(draft.carried.labels ?? {}).map(([key, value]) => `${key}=${value}`).join(", ")],
      ]),
      section("create.review.dataset", "dataset", [
        ["dataset.training", path(draft.training)],
        ["dataset.validation", draft.validation ? path(draft.validation) : t("create.none")],
        ["dataset.rows", verdict && count(verdict.rows)],
        ["dataset.dropped", verdict && count(verdict.dropped)],
      ]),
      section("create.advanced", "model", [
        ["details.epochs", draft.epochs ? count(draft.epochs) : t("base.recommended", { size: plan?.epochs ?? "" })],
        ["details.adapter", draft.adapter || (tuned || !draft.rank ? t(tuned ? "create.adapter.same" : "create.adapter.auto") : t("base.recommended", { size: draft.rank }))],
        ["details.multiplier", decimal(draft.multiplier || 1)],
        ["details.rate", hyper.learningRate && decimal(hyper.learningRate)],
        ["details.batch", plan && count(plan.batch)],
        ["details.lastOnly", t(draft.lastOnly ? "yes" : "no")],
      ]),
      plan && section("create.review.plan", "", [
        ["dataset.steps", count(plan.steps)],
        ["dataset.tokens", count(plan.tokens)],
        ["create.time", plan.time],
        ["create.memory", plan.memory],
        ["create.basis", t(plan.measured ? "create.basis.measured" : "create.basis.assumed")],
      ]));
    this.#showCode();
  }

  #showCode() {
    const [, label, write] = PROGRAMS.find(([id]) => id === this.chosen);
    fill(this.code, code(write(this.draft), label));
  }
}

function section(title, step, entries) {
  return h("section", { class: "card padded" },
    h("div", { class: "section-head" }, h("h2", {}, t(title)), h("span", { class: "grow" }),
      step && h("a", { class: "small", href: `#${step}`, "aria-label": t("create.edit.what", { what: t(title) }) }, t("create.edit"))),
    h("dl", { class: "details" }, entries.filter(([, value]) => value).map(([key, value]) => h("div", {}, h("dt", {}, t(key)), h("dd", {}, value)))));
}
