// Step 2: the files with the rows, uploaded or chosen, and the report on them.

import { uriOf } from "../buckets.js";
import { button, fill, h } from "../dom.js";
import { size } from "../format.js";
import { t } from "../page.js";
import { complain, field, notice } from "../parts.js";
import { takeDrops, Uploads } from "../uploads.js";
import { browse, chooseBucket, ROWS } from "./create_buckets.js";
import { Report } from "./create_report.js";

const SAMPLES = "gs://cloud-samples-data/ai-platform/generative_ai/";
const DATASETS = {
  training: { samples: `${SAMPLES}sft_train_data.jsonl`, names: ["training_dataset_uri", "dataset_uri"] },
  validation: { samples: `${SAMPLES}sft_validation_data.jsonl`, names: ["validation_dataset_uri"] },
};

export class DatasetStep {
  constructor(draft, changed) {
    this.draft = draft;
    this.changed = changed;
    this.report = new Report(draft, changed, () => this.#showRefused());
    this.files = Object.keys(DATASETS).map((which) => new DatasetFile(which, draft, () => (this.report.show(), changed())));
    this.element = h("div", { class: "stack wizard-step" },
      h("div", { class: "details-grid" }, this.files.map((file) => file.element)), this.report.element);
  }

  mayLeave() {
    return Boolean(this.draft.verdict);
  }

  /** Whether the API's `name` is that of something of this step. */
  has(name) {
    return Object.values(DATASETS).some(({ names }) => names.includes(name));
  }

  shown() {
    for (const file of this.files) file.show();
    this.report.show();
  }

  #showRefused() {
    return this.files.map((file) => file.showRefused()).includes(true);
  }
}

/** The file of one of the two datasets: its address, and the ways to come by one. */
class DatasetFile {
  #file = null;  // whose upload failed, while the page still has it
  #busy = false;

  constructor(which, draft, changed) {
    Object.assign(this, { which, draft, changed });
    const { samples } = DATASETS[which];
    this.uploads = new Uploads();
    this.broken = h("div", { role: "status" });
    this.picker = h("input", { type: "file", hidden: true, accept: ".jsonl,.gz", "aria-label": t(`create.dataset.${which}`), change: () => this.#take(this.picker.files[0]) });
    this.input = h("input", { class: "input", spellcheck: "false", autocomplete: "off", placeholder: "gs://bucket/rows.jsonl", change: () => this.#set(this.input.value.trim()) });
    this.element = h("section", { class: "card padded dropzone", data: { words: t("create.drop") } },
      h("h2", { tabindex: "-1" }, t(`create.dataset.${which}`)),
      h("p", { class: "small muted" }, t(`create.dataset.${which}.hint`)),
      h("div", { class: "row tight-wrap" },
        button(t("create.upload"), () => this.picker.click(), { look: "small", symbol: "up" }), this.picker,
        button(t("create.browse"), () => this.#browse(), { look: "small", symbol: "folder" }),
        button(t("create.samples"), () => this.#set(samples), { look: "small", symbol: "table" })),
      this.uploads.element, this.broken,
      field(t("create.address"), this.input, t("create.address.hint")));
    takeDrops(this.element, ([file]) => this.#take(file));
  }

  show() {
    this.input.value = this.draft[this.which];
    this.showRefused();
    this.#showBroken();
  }

  showRefused() {
    const { refused } = this.draft;
    const words = DATASETS[this.which].names.map((name) => refused[name]).find(Boolean);
    complain(this.input, words);
    return Boolean(words);
  }

  /** `fresh`: the object is another one, even if its address is not. */
  #set(uri, fresh = false) {
    this.draft.forgive(...DATASETS[this.which].names);
    this.draft.set({ [this.which]: uri, ...(fresh ? { check: null } : {}) });
    this.show();
    this.changed();
  }

  async #browse() {
    const uri = await browse(t(`create.dataset.${this.which}`));
    if (uri) this.#set(uri, true);
  }

  /** Upload a file; the one whose upload was broken off goes on where that stood. */
  async #take(file) {
    this.picker.value = "";
    if (!file || this.#busy) return;
    if (!ROWS.test(file.name)) return complain(this.input, t("create.upload.name", { name: file.name }));
    const before = this.draft.sending[this.which];
    const same = before && before.file === file.name && before.size === file.size && before.modified === file.lastModified;
    const bucket = same ? before.bucket : await chooseBucket(file.name, this.draft.bucket);
    if (!bucket) return;
    this.draft.set({ bucket });
    this.#busy = true;
    this.#file = null;
    fill(this.broken);
    const began = (id) => this.#remember({ file: file.name, size: file.size, modified: file.lastModified, bucket, id });
    const end = await this.uploads.send(bucket, file.name, file, { id: same ? before.id : undefined, began });
    this.#busy = false;
    if (end === "failed") this.#file = file;
    else this.#remember(undefined);
    this.#showBroken();
    if (end === "done") this.#set(uriOf(bucket, file.name), true);
  }

  #remember(sending) {
    this.draft.set({ sending: { ...this.draft.sending, [this.which]: sending } });
  }

  /** An upload that a refresh or the network broke off, and how to go on. */
  #showBroken() {
    const broken = this.draft.sending[this.which];
    if (this.#busy || !broken) return fill(this.broken);
    const file = this.#file;
    const forget = () => (this.#remember(undefined), this.#showBroken());
    return fill(this.broken, notice("wait", "warning",
      h("strong", {}, t("create.broken", { name: broken.file, size: size(broken.size) })), "\n", t(file ? "create.broken.here" : "create.broken.gone"),
      h("div", { class: "row tight-wrap notice-answers" },
        file ? button(t("create.broken.on"), () => this.#take(file), { look: "small" }) : button(t("create.broken.choose"), () => this.picker.click(), { look: "small" }),
        button(t("create.broken.forget"), forget, { look: "small quiet" }))));
  }
}
