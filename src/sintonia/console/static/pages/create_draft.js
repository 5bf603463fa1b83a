// The job that is being put together: kept by the tab until it is started, and what is asked of the API for it.

import { call, own, v1 } from "../api.js";
import { rankOf, sizeOf } from "../jobs.js";
import { parent, place, project } from "../page.js";

export const LONGEST_NAME = 128;
export const MOST_EPOCHS = 1000;
export const MOST_RATE = 100;
const REGION = /^[a-z][a-z0-9-]{0,62}$/;

const FRESH = {
  name: "", region: place, source: "base", baseModel: "",
  tuned: null,  // {name, checkpoint, baseModel, displayName} of a tuned model
  advanced: false, epochs: "", adapter: "", multiplier: "", lastOnly: false,
  training: "", validation: "", bucket: "",
  sending: {},  // uploads under way by dataset: {file, size, modified, bucket, id}
  rank: null,  // the adapter size that is recommended for the base model
  carried: {},  // what a job had besides, which is to be tuned again: {description, labels, hyper}
  check: null,  // {key, name, verdict} of the last dataset validation
  request: null,  // {id, body} of the last attempt to start: repeating it makes no second job
  refused: {},  // what the API refused, in its words, by the last part of its name for the field
};

export class Draft {
  #key;

  /** `from` is the id of a job whose settings it begins with; each has a draft of its own. */
  constructor(from) {
    this.from = from;
    this.#key = `sintonia.create/${parent}/${from}`;
    this.known = sessionStorage.getItem(this.#key) !== null;
    Object.assign(this, FRESH, this.known ? JSON.parse(sessionStorage.getItem(this.#key)) : {});
  }

  /** Take the settings of the job it begins with, if it has just been opened. */
  async begin() {
    if (!this.known && this.from) this.set(settingsOf(await call("GET", v1(`${parent}/tuningJobs/${this.from}`))));
  }

  set(changes) {
    Object.assign(this, changes);
    sessionStorage.setItem(this.#key, JSON.stringify(Object.fromEntries(Object.keys(FRESH).map((field) => [field, this[field]]))));
  }

  forget() {
    sessionStorage.removeItem(this.#key);
  }

  get parent() {
    return `projects/${project}/locations/${this.region}`;
  }

  /** The base model, also below a tuned one. */
  get base() {
    return (this.source === "tuned" ? this.tuned?.baseModel : this.baseModel) ?? "";
  }

  /** The details of the model that are lacking or cannot be, by the API's names. */
  get wrong() {
    const epochs = Number(this.epochs || 1);
    const rate = Number(this.multiplier || 1);
    return [
      [...this.name].length > LONGEST_NAME && "tuned_model_display_name",
      !REGION.test(this.region) && "location",
      !this.base && (this.source === "tuned" ? "tuned_model_name" : "base_model"),
      !(Number.isInteger(epochs) && epochs >= 1 && epochs <= MOST_EPOCHS) && "epoch_count",
      !(rate > 0 && rate <= MOST_RATE) && "learning_rate_multiplier",
    ].filter(Boolean);
  }

  /** What a dataset validation is about; another key needs another one. */
  get checkKey() {
    return JSON.stringify([this.parent, this.base, this.training, this.validation]);
  }

  /** What the validation of these datasets found, once they may be tuned on. */
  get verdict() {
    return this.check?.key === this.checkKey && this.check.verdict?.valid ? this.check.verdict : null;
  }

  /** Keep what the API refused; the fields that it names. */
  refuse({ violations }) {
    const refused = Object.fromEntries(violations.map(({ field, description }) => [field.split(".").at(-1), description]));
    this.set({ refused });
    return Object.keys(refused);
  }

  /** What was refused of these fields is over: they were changed, or are right now. */
  forgive(...fields) {
    this.set({ refused: Object.fromEntries(Object.entries(this.refused).filter(([field]) => !fields.includes(field))) });
  }
}

/** The TuningJob to create, without what is left to the server. */
export function jobOf(draft) {
  const { carried } = draft;
  const tuned = draft.source === "tuned" && draft.tuned;
  const hyper = {
    ...carried.hyper,
    epochCount: Number(draft.epochs) || undefined,
    learningRateMultiplier: Number(draft.multiplier) || undefined,
    adapterSize: draft.adapter ? sizeOf(draft.adapter) : undefined,
  };
  const set = Object.values(hyper).some((value) => value !== undefined);
  return told({
    tunedModelDisplayName: draft.name.trim() || undefined,
    description: carried.description,
    labels: carried.labels,
    baseModel: tuned ? undefined : draft.baseModel,
    preTunedModel: tuned ? { tunedModelName: tuned.name, checkpointId: tuned.checkpoint || undefined } : undefined,
    supervisedTuningSpec: {
      trainingDatasetUri: draft.training,
      validationDatasetUri: draft.validation || undefined,
      hyperParameters: set ? hyper : undefined,
      exportLastCheckpointOnly: draft.lastOnly || undefined,
    },
  });
}

const told = (message) => JSON.parse(JSON.stringify(message));  // leaves out what is undefined

/** Start the job; its name. The same job is started once, however often it is tried. */
export async function start(draft) {
  const job = jobOf(draft);
  const body = JSON.stringify([draft.parent, job]);
  if (draft.request?.body !== body) draft.set({ request: { id: randomName(), body } });
  const { name } = await call("POST", v1(`${draft.parent}/tuningJobs`), { query: { requestId: draft.request.id }, body: job });
  draft.forget();
  return name;
}

/** Begin to read and judge the datasets of the draft. */
export async function startCheck(draft) {
  const key = draft.checkKey;
  const body = { datasetUri: draft.training, validationDatasetUri: draft.validation || undefined, baseModel: draft.base };
  const { name } = await call("POST", own(`${draft.parent}/datasetValidations`), { body });
  return { key, name, verdict: null };
}

// Not crypto.randomUUID, which pages without TLS lack.
const randomName = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

function settingsOf(job) {
  const spec = job.supervisedTuningSpec ?? {};
  const { epochCount, adapterSize, learningRateMultiplier, ...hyper } = spec.hyperParameters ?? {};
  const before = job.preTunedModel;
  return {
    name: job.tunedModelDisplayName ?? "",
    source: before ? "tuned" : "base",
    baseModel: job.baseModel ?? "",
    tuned: before ? { name: before.tunedModelName, checkpoint: before.checkpointId ?? "", baseModel: before.baseModel, displayName: "" } : null,
    advanced: true,
    epochs: String(epochCount ?? ""),
    adapter: before ? "" : String(rankOf(adapterSize) ?? ""),
    multiplier: learningRateMultiplier === undefined || learningRateMultiplier === 1 ? "" : String(learningRateMultiplier),
    lastOnly: Boolean(spec.exportLastCheckpointOnly),
    training: spec.trainingDatasetUri ?? "",
    validation: spec.validationDatasetUri ?? "",
    carried: { description: job.description, labels: Object.keys(job.labels ?? {}).length ? job.labels : undefined, hyper },
  };
}
