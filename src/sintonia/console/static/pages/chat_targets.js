// What can be asked: base models, tuned models and their checkpoints, to choose from.

import { call, v1 } from "../api.js";
import { fill, h } from "../dom.js";
import { time } from "../format.js";
import { baseOf, idOf, titleOf } from "../jobs.js";
import { parent, t } from "../page.js";

const LATEST = 100;
const FIELDS = "tuningJobs(name,tunedModelDisplayName,baseModel,preTunedModel(baseModel),createTime,tunedModel)";
const SEGMENT = "(?!\\.\\.?(?:/|$))[^/]+";
const FORM = new RegExp(`^(projects/${SEGMENT}/locations/${SEGMENT}/)?(endpoints/${SEGMENT}|models/${SEGMENT}|publishers/${SEGMENT}/models/${SEGMENT})$`);

/** Targets are resource names without this page's project and location. */
export const isTarget = (text) => FORM.test(text ?? "");
export const fullName = (target) => (target.startsWith("projects/") ? target : `${parent}/${target}`);
const short = (name) => name.replace(`${parent}/`, "");
const ofBase = (id) => `publishers/google/models/${id}`;
const catalog = async () => (await call("GET", "/sintonia/v1/baseModels")).baseModels ?? [];

/** What there is to be asked now: of each its `target`, `label` and `base` (a target). */
export class Choices {
  groups = [];

  async load() {
    const query = { pageSize: LATEST, orderBy: "create_time desc", fields: FIELDS };
    const [baseModels, { tuningJobs = [] }] = await Promise.all([
      catalog(), call("GET", v1(`${parent}/tuningJobs`), { query }),
    ]);
    const known = (name) => baseModels.find(({ id, aliases }) => id === name || aliases?.includes(name));
    const bases = baseModels.map(({ id, displayName, prepared }) => ({
      target: ofBase(id), label: displayName || id, base: ofBase(id), away: !prepared,
    }));
    const tuned = tuningJobs.filter((job) => job.tunedModel).map((job) => {
      const { model, checkpoints = [] } = job.tunedModel;
      const entry = known(baseOf(job));
      const base = entry && ofBase(entry.id);
      const items = checkpoints.filter(({ endpoint }) => endpoint).map(({ endpoint, checkpointId }) => (
        { base, target: short(endpoint), label: `${titleOf(job)} · ${t("checkpoint.name", { id: checkpointId })}` }));
      if (model) items.unshift({ base, target: short(model), label: titleOf(job) });
      return { label: `${titleOf(job)} · ${time(job.createTime)}`, items };
    });
    this.groups = [...tuned, { label: t("nav.baseModels"), items: bases }].filter(({ items }) => items.length);
  }

  get #all() {
    return this.groups.flatMap(({ items }) => items);
  }

  find(target) {
    return this.#all.find((item) => item.target === target);
  }

  label(target) {
    return this.find(target)?.label ?? (target.startsWith("publishers/") ? idOf(target) : target);
  }

  /** What to begin with: the newest tuned model, else a base model that is here. */
  get first() {
    return (this.#all.find((item) => !item.away) ?? this.#all[0])?.target;
  }

  /** What to put beside a target: its base model, or for a base model the newest that is something else. */
  partner(target) {
    const base = this.find(target)?.base;
    if (base && base !== target) return base;
    return (this.#all.find((item) => !item.away && item.target !== target) ?? { target }).target;
  }

  /** Whether the base model of a target is being loaded into memory now. */
  async isLoading(target) {
    const base = this.find(target)?.base;
    return (await catalog()).some(({ id, engineState }) => ofBase(id) === base && engineState === "STARTING");
  }

  /** A field to choose by; `chosen` is called with the target. */
  select(label, chosen) {
    const element = h("select", { class: "input", "aria-label": label, title: label, change: () => chosen(element.value) });
    return {
      element,
      show: (target) => {
        const option = (item) => h("option", { value: item.target, disabled: item.away && item.target !== target }, item.away ? t("chat.away", { name: item.label }) : item.label);
        const stranger = !this.find(target) && h("option", { value: target }, this.label(target));
        fill(element, stranger, this.groups.map(({ label: group, items }) => h("optgroup", { label: group }, items.map(option))));
        element.value = target;
      },
    };
  }
}
