// Dialogs about buckets: which one a file goes into, and which object of one is meant.

import { bucketsOf, createBucket, objectsOf, uriOf } from "../buckets.js";
import { button, fill, h, icon } from "../dom.js";
import { since, size } from "../format.js";
import { project, t } from "../page.js";
import { emptyState, errorState, field, loadingState, toast } from "../parts.js";

/** The names that datasets may have. */
export const ROWS = /\.jsonl(\.gz)?$/;

/** Ask which bucket, perhaps a new one, the file goes into. Null for none. */
export async function chooseBucket(file, last) {
  let buckets;
  try {
    buckets = ((await bucketsOf()).items ?? []).map(({ name }) => name);
  } catch (error) {
    toast(error.message, "bad");
    return null;
  }
  const fitting = `${project.toLowerCase().replace(/[^a-z0-9-]/g, "-")}-datasets`;
  const chosen = buckets.includes(last) ? last : buckets[0] ?? "";
  const bucket = h("select", { class: "input", change: () => show() },
    buckets.map((name) => h("option", { value: name, selected: name === chosen }, name)), h("option", { value: "" }, t("create.bucket.new")));
  const fresh = h("input", { class: "input", value: buckets.includes(fitting) ? "" : fitting, autocomplete: "off", spellcheck: "false" });
  const freshField = field(t("bucket.name"), fresh, t("bucket.name.hint"));
  const problem = h("p", { class: "problem-line", role: "alert" });
  const show = () => {
    freshField.hidden = Boolean(bucket.value);
    fresh.required = !bucket.value;
  };
  const form = h("form", {},
    h("h2", { id: "choose-bucket" }, t("create.bucket.title")), h("p", {}, file),
    h("div", { class: "fields" }, field(t("create.bucket"), bucket, t("create.bucket.hint")), freshField, problem),
    h("div", { class: "answers" }, button(t("action.back"), () => dialog.close()), h("button", { class: "button primary", type: "submit" }, t("create.bucket.yes"))));
  const dialog = h("dialog", { "aria-labelledby": "choose-bucket" }, form);
  show();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => (dialog.remove(), resolve(dialog.returnValue || null)));
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const name = bucket.value || fresh.value.trim();
      try {
        if (!bucket.value) await createBucket(name);
        dialog.close(name);
      } catch (error) {
        problem.textContent = error.message;
      }
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** Walk through buckets and folders to an object with rows; its address, or null. */
export function browse(title) {
  const list = h("div", { class: "browse-list" });
  const trail = h("div", { class: "row tight-wrap small" });
  const dialog = h("dialog", { class: "browse", "aria-labelledby": "browse" },
    h("h2", { id: "browse" }, title), trail, list,
    h("div", { class: "answers" }, button(t("create.browse.close"), () => dialog.close())));

  const entry = (symbol, name, act, { note = "", disabled = false, title: why } = {}) => h("li", {},
    h("button", { type: "button", class: "browse-entry", click: act, disabled, title: why }, icon(symbol), h("span", { class: "grow" }, name), note && h("span", { class: "small muted number nowrap" }, note)));

  function showTrail(bucket, prefix) {
    const steps = prefix.split("/").slice(0, -1);
    const go = (words, act, here) => (here ? h("span", { "aria-current": "true" }, words) : h("button", { type: "button", class: "browse-step", click: act }, words));
    fill(trail, go(t("nav.buckets"), buckets, !bucket),
      bucket && [" / ", go(bucket, () => objects(bucket, ""), !prefix)],
      steps.map((step, i) => [" / ", go(step, () => objects(bucket, `${steps.slice(0, i + 1).join("/")}/`), i === steps.length - 1)]));
  }

  async function show(ask, lay, again, empty) {
    if (!again.known) fill(list, loadingState(3));
    try {
      const page = await ask(again.token);
      const known = [...(again.known ?? []), ...lay(page)];
      const more = page.nextPageToken && button(t("action.more"), () => show(ask, lay, { known, token: page.nextPageToken }, empty), { look: "small" });
      fill(list, known.length ? h("ul", {}, known) : emptyState(empty), more);
      list.querySelector("button:not(:disabled)")?.focus();
    } catch (error) {
      fill(list, errorState(error, () => show(ask, lay, again, empty)));
    }
  }

  function buckets() {
    showTrail("", "");
    const lay = ({ items = [] }) => items.map(({ name }) => entry("bucket", name, () => objects(name, "")));
    show(bucketsOf, lay, {}, { symbol: "bucket", title: t("bucket.none.title"), text: t("create.browse.none") });
  }

  function objects(bucket, prefix) {
    showTrail(bucket, prefix);
    const object = ({ name, size: bytes = 0, updated }) => {
      const usable = ROWS.test(name);
      return entry("file", name.slice(prefix.length), () => dialog.close(uriOf(bucket, name)), { note: `${size(bytes)} · ${since(updated)}`, disabled: !usable, title: usable ? undefined : t("create.browse.rows") });
    };
    const lay = ({ items = [], prefixes = [] }) => [
      ...prefixes.map((name) => entry("folder", name.slice(prefix.length), () => objects(bucket, name))),
      ...items.filter(({ name }) => name !== prefix).map(object),
    ];
    show((token) => objectsOf(bucket, prefix, token), lay, {}, { symbol: "folder", title: t("object.none.title"), text: t("create.browse.none") });
  }

  return new Promise((resolve) => {
    dialog.addEventListener("close", () => (dialog.remove(), resolve(dialog.returnValue || null)));
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
    document.body.append(dialog);
    dialog.showModal();
    buckets();
  });
}
