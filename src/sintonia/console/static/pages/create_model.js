// Step 1: what the model is called, what it is tuned from, where, and with which settings.

import { call, v1 } from "../api.js";
import { fill, h, say } from "../dom.js";
import { count } from "../format.js";
import { baseOf, idOf, titleOf } from "../jobs.js";
import { place, t } from "../page.js";
import { complain, errorState, field, loadingState, notice, problemIn } from "../parts.js";
import { LONGEST_NAME, MOST_EPOCHS, MOST_RATE } from "./create_draft.js";

const PAGES = 5;
const MOST = { tuned_model_display_name: LONGEST_NAME, epoch_count: MOST_EPOCHS, learning_rate_multiplier: MOST_RATE };
const TUNED = ["tuned_model_name", "checkpoint_id"];
const FIELDS = "tuningJobs(name,tunedModelDisplayName,baseModel,preTunedModel(baseModel),tunedModel(model)),nextPageToken";

export class ModelStep {
  #asked = null;
  #asking = false;
  #inputs;  // by the API's name for what is entered there

  /** `next` goes on to the next step; `changed` is told when the base models have come, or will not. */
  constructor(draft, next, changed) {
    this.draft = draft;
    this.changed = changed;
    this.counter = h("span", { class: "number" });
    this.name = this.#input("name", { autocomplete: "off" });
    this.nameHint = h("span");
    this.region = this.#input("region", { list: "regions", autocomplete: "off", spellcheck: "false" });
    this.epochs = this.#input("epochs", { type: "number", min: 1, max: MOST_EPOCHS, step: 1 });
    this.multiplier = this.#input("multiplier", { type: "number", min: 0, max: MOST_RATE, step: "any", placeholder: "1" });
    this.adapter = h("select", { class: "input", change: () => draft.set({ adapter: this.adapter.value }) });
    this.lastOnly = h("input", { type: "checkbox", checked: draft.lastOnly, change: () => draft.set({ lastOnly: this.lastOnly.checked }) });
    this.epochsHint = h("span");
    this.adapterHint = h("span");
    this.choices = h("div", { class: "choices", role: "radiogroup", "aria-label": t("models.base") }, loadingState(4));
    this.base = h("div", { class: "field" }, this.choices, h("p", { class: "problem-line", role: "alert" }));
    this.tuned = h("div", { class: "stack" }, loadingState(2));
    this.advanced = h("details", { class: "card disclosure", open: draft.advanced, toggle: () => draft.set({ advanced: this.advanced.open }) },
      h("summary", {}, h("h2", {}, t("create.advanced")), h("span", { class: "small muted" }, t("create.advanced.hint"))),
      h("div", { class: "fields-grid" },
        field(t("details.epochs"), this.epochs, this.epochsHint),
        field(t("details.adapter"), this.adapter, this.adapterHint),
        field(t("details.multiplier"), this.multiplier, t("create.multiplier.hint")),
        h("div", { class: "field" }, h("label", { class: "check" }, this.lastOnly, h("span", {}, t("create.lastOnly"))), h("p", { class: "hint" }, t("create.lastOnly.hint")))));
    const source = (value) => h("label", { class: "segment" },
      h("input", { type: "radio", name: "source", value, checked: draft.source === value, change: () => (draft.set({ source: value, adapter: "" }), this.#show()) }), h("span", {}, t(`create.from.${value}`)));
    this.element = h("form", { class: "stack wizard-step", novalidate: true, submit: (event) => (event.preventDefault(), this.mayLeave() && next()) },
      h("section", { class: "card padded stack" },
        h("h2", { tabindex: "-1" }, t("create.step.model")),
        h("div", { class: "fields-grid" },
          field(t("create.name"), this.name, h("span", { class: "counted" }, this.nameHint, this.counter)),
          field(t("create.region"), this.region, t("create.region.hint"))),
        h("p", { class: "small muted" }, t("details.method"), ": ", t("details.supervised"), ". ", t("create.method.hint")),
        h("datalist", { id: "regions" }, [...new Set([place, "us-central1", "europe-west4"])].map((value) => h("option", { value })))),
      h("section", { class: "card padded stack" },
        h("div", { class: "row" }, h("h2", {}, t("create.from")), h("div", { class: "segments", role: "radiogroup", "aria-label": t("create.from") }, source("base"), source("tuned"))),
        this.base, this.tuned),
      this.advanced,
      h("button", { type: "submit", hidden: true }));
    this.#inputs = {
      tuned_model_display_name: this.name, location: this.region, base_model: this.choices,
      epoch_count: this.epochs, adapter_size: this.adapter, learning_rate_multiplier: this.multiplier,
    };
    this.name.addEventListener("input", () => this.#count());
    this.region.addEventListener("change", () => (draft.set({ tuned: null }), this.#show()));
    this.element.addEventListener("input", ({ target }) => this.#changed(target));
  }

  /** Whether the base model is still to come that is chosen where nobody chooses. */
  get pending() {
    return this.#asking && this.draft.source === "base" && !this.draft.base;
  }

  /** Whether all that was entered may be; else it is said where it may not. */
  mayLeave() {
    if (this.pending) return false;
    const { refused, wrong } = this.draft;
    this.#complain((name) => (wrong.includes(name) ? t(`create.wrong.${name}`, { most: MOST[name] }) : refused[name]));
    problemIn(this.element)?.focus();
    return !wrong.length;
  }

  /** Whether the API's `name` is that of something of this step. */
  has(name) {
    return name in this.#inputs || TUNED.includes(name);
  }

  shown() {
    this.#count();
    this.#show();
    this.#showRefused();
  }

  #input(name, options) {
    const input = h("input", { class: "input", name, value: this.draft[name], ...options });
    // What is no number at all has no value.
    input.addEventListener("input", () => this.draft.set({ [name]: input.validity.badInput ? "?" : input.value.trim() }));
    return input;
  }

  #changed(target) {
    const [name, input] = Object.entries(this.#inputs).find(([, one]) => one.contains(target)) ?? [];
    if (!name) return;
    this.draft.forgive(name);
    complain(input);
  }

  #showRefused() {
    this.#complain((name) => this.draft.refused[name]);
  }

  #complain(about) {
    for (const [name, input] of Object.entries(this.#inputs)) complain(input, about(name));
    if (this.advanced.querySelector("[aria-invalid]")) this.advanced.open = true;
  }

  #count() {
    const long = [...this.name.value.trim()].length;
    this.counter.textContent = t("create.name.count", { count: long, most: LONGEST_NAME });
    this.counter.classList.toggle("over-limit", long > LONGEST_NAME);
  }

  #show() {
    const { draft } = this;
    const base = draft.source === "base";
    [this.base.hidden, this.tuned.hidden] = [!base, base];
    say(this.nameHint, t(base ? "create.name.hint" : "create.name.hint.tuned"));
    this.#recommend();
    if (!this.catalog && !this.#asking) this.#askCatalog();
    if (!base && this.#asked !== draft.parent) this.#askTuned();
  }

  /** What is recommended goes where nothing is entered: epochs once the rows are known. */
  #recommend() {
    const { draft } = this;
    const { recommended } = draft.verdict ?? {};
    this.epochs.placeholder = recommended ? String(recommended) : t("create.epochs.auto");
    this.epochsHint.textContent = recommended ? t("create.epochs.known", { count: recommended }) : t("create.epochs.hint");
    const entry = this.catalog?.find(({ id, aliases = [] }) => [id, ...aliases].includes(draft.base.split("/").at(-1)));
    const tuned = draft.source === "tuned";
    const sizes = tuned ? [] : entry?.adapterSizes ?? (draft.adapter ? [Number(draft.adapter)] : []);
    if (this.catalog && draft.adapter && !sizes.includes(Number(draft.adapter))) draft.set({ adapter: "" });
    const best = entry?.defaultAdapterSize;
    if (this.catalog) draft.set({ rank: best ?? null });
    fill(this.adapter,
      h("option", { value: "" }, tuned ? t("create.adapter.same") : best ? t("base.recommended", { size: best }) : t("create.adapter.auto")),
      sizes.map((size) => h("option", { value: size, selected: String(size) === draft.adapter }, String(size))));
    this.adapter.disabled = tuned;
    this.adapterHint.textContent = t(tuned ? "create.adapter.tuned" : "create.adapter.hint");
  }

  async #askCatalog() {
    this.#asking = true;
    try {
      this.catalog = (await call("GET", "/sintonia/v1/baseModels")).baseModels ?? [];
      this.#showCatalog();
    } catch (error) {
      fill(this.choices, errorState(error, () => this.#askCatalog()));
    }
    this.#asking = false;
    this.changed();
  }

  #showCatalog() {
    const named = this.draft.baseModel.split("/").at(-1);
    const choices = this.catalog.flatMap((model) => [[model.id, model], ...(model.aliases ?? []).map((alias) => [alias, model])]);
    const known = choices.some(([name]) => name === named);
    const first = choices.find(([, model]) => model.prepared)?.[0] ?? "";
    if (!known) this.draft.set({ baseModel: named ? "" : first });
    fill(this.choices, choices.map(([name, model]) => this.#choice(name, model)));
    if (named && !known) complain(this.choices, t("create.base.gone", { name: named }));
    this.#show();
  }

  #choice(name, model) {
    const about = [(model.modalities ?? []).join(", "), model.license && t("create.license", { name: model.license }), model.contextLength && t("base.tokens", { count: model.contextLength })].filter(Boolean).join(" · ");
    const away = !model.prepared;
    const checked = this.draft.baseModel.split("/").at(-1) === name;
    const input = h("input", { type: "radio", name: "base", value: name, checked, disabled: away, change: () => (this.draft.set({ baseModel: name }), this.#recommend()) });
    return h("label", { class: `choice ${away ? "away" : ""}` }, input,
      h("span", { class: "choice-text" },
        h("span", { class: "row tight-wrap" }, h("strong", {}, name), name === model.id && model.displayName && model.displayName !== name && h("span", { class: "muted" }, model.displayName),
          name !== model.id && h("span", { class: "small muted" }, t("create.alias", { name: model.id })),
          model.stage && h("span", { class: "chip plain" }, model.stage), away && h("span", { class: "chip wait" }, t("base.away"))),
        h("span", { class: "small muted" }, about),
        away && h("span", { class: "small muted" }, t("base.pull"), " ", h("code", {}, `sintonia base-models pull ${model.id}`))));
  }

  async #askTuned() {
    const { draft } = this;
    const asked = draft.parent;
    this.#asked = asked;
    const jobs = [];
    try {
      for (let turn = 0, pageToken; turn < PAGES && (turn === 0 || pageToken); turn += 1) {
        const page = await call("GET", v1(`${asked}/tuningJobs`), { query: { pageSize: 100, pageToken, fields: FIELDS } });
        jobs.push(...(page.tuningJobs ?? []).filter((job) => job.tunedModel?.model));
        pageToken = page.nextPageToken;
      }
    } catch (error) {
      this.#asked = null;
      return fill(this.tuned, errorState(error, () => this.#askTuned()));
    }
    if (this.#asked === asked) this.#showTuned(jobs);
    return undefined;
  }

  #showTuned(jobs) {
    const { draft } = this;
    const models = new Map(jobs.map((job) => [job.tunedModel.model, job]));
    const chosen = draft.tuned?.name ?? "";
    const words = (name, job) => t("create.tuned.option", { name: job ? titleOf(job) : t("create.tuned.unknown"), id: idOf(name) });
    if (!models.size && !chosen) return fill(this.tuned, h("p", { class: "muted" }, t("create.tuned.none")));
    const all = [...models, ...(chosen && !models.has(chosen) ? [[chosen, null]] : [])];
    const model = h("select", { class: "input" },
      h("option", { value: "" }, t("create.tuned.choose")), all.map(([name, job]) => h("option", { value: name, selected: name === chosen }, words(name, job))));
    const checkpoint = h("select", { class: "input", change: () => draft.set({ tuned: { ...draft.tuned, checkpoint: checkpoint.value } }) });
    const trouble = h("div", { role: "alert" });
    model.addEventListener("change", () => {
      const job = models.get(model.value);
      draft.set({ tuned: job ? { name: model.value, checkpoint: "", baseModel: baseOf(job), displayName: titleOf(job) } : null });
      this.#askCheckpoints(checkpoint, trouble);
    });
    fill(this.tuned, h("div", { class: "fields-grid" }, field(t("create.from.tuned"), model, t("create.tuned.hint")), field(t("checkpoint.column"), checkpoint, t("create.checkpoint.hint"))), trouble);
    Object.assign(this.#inputs, { tuned_model_name: model, checkpoint_id: checkpoint });
    this.#showRefused();
    if (chosen && models.has(chosen)) draft.set({ tuned: { ...draft.tuned, displayName: titleOf(models.get(chosen)) } });
    this.#askCheckpoints(checkpoint, trouble);
    return this.#show();
  }

  async #askCheckpoints(select, trouble) {
    const { tuned } = this.draft;
    fill(trouble);
    const standard = (id) => h("option", { value: "" }, id ? t("create.checkpoint.default", { id }) : t("checkpoint.default"));
    fill(select, standard(""));
    if (!tuned) return;
    try {
      const { checkpoints = [], defaultCheckpointId } = await call("GET", v1(tuned.name));
      if (this.draft.tuned?.name !== tuned.name) return;
      const words = ({ checkpointId: id, epoch = 0, step = 0 }) => t("create.checkpoint.option", { id, epoch: count(epoch), step: count(step) });
      fill(select, standard(defaultCheckpointId), checkpoints.map((one) => h("option", { value: one.checkpointId, selected: one.checkpointId === tuned.checkpoint }, words(one))));
    } catch (error) {
      fill(trouble, notice("bad", "warning", error.message));
    }
  }
}
