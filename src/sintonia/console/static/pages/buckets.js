// The buckets of a project.

import { bucketsOf, createBucket, deleteBucket, uriOf } from "../buckets.js";
import { button, fill, h, main } from "../dom.js";
import { exactTime, since } from "../format.js";
import { pageOf, t } from "../page.js";
import { confirm, copy, emptyState, errorState, loadingState, menuButton, prompt, toast } from "../parts.js";

const place = h("div", {}, loadingState(4));
const add = (look) => button(t("bucket.new"), create, { look, symbol: "plus", data: { needs: "TUNER" } });
fill(main, h("div", { class: "head" }, h("h1", {}, t("nav.buckets")), h("div", { class: "actions" }, add("primary")), h("p", { class: "lead" }, t("bucket.lead"))), place);
show();

async function show(known = [], token = undefined) {
  let page;
  try {
    page = await bucketsOf(token);
  } catch (error) {
    return fill(place, h("div", { class: "card" }, errorState(error, () => show())));
  }
  const buckets = [...known, ...(page.items ?? [])];
  if (!buckets.length) return fill(place, h("div", { class: "card" }, emptyState({ symbol: "bucket", title: t("bucket.none.title"), text: t("bucket.none.text"), more: [add("")] })));
  fill(place, h("div", { class: "card" },
    h("div", { class: "table-box" }, h("table", { class: "responsive" },
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, t("bucket.name")), h("th", { scope: "col" }, t("models.created")), h("th", { scope: "col" }, h("span", { class: "visually-hidden" }, t("models.actions"))))),
      h("tbody", {}, buckets.map(row)))),
    page.nextPageToken && h("div", { class: "paging" }, button(t("action.more"), () => show(buckets, page.nextPageToken), { look: "small" }))));
}

function row({ name, timeCreated }) {
  const menu = menuButton(t("models.actions"), () => [
    { label: t("object.copy"), symbol: "copy", act: () => copy(uriOf(name, "")) },
    { label: t("bucket.delete"), symbol: "bin", danger: true, needs: "TUNER", act: () => remove(name) },
  ], { look: "quiet small" });
  return h("tr", {},
    h("td", { class: "title-cell" }, h("a", { class: "table-title", href: pageOf(`buckets/${name}`) }, name)),
    h("td", { data: { label: t("models.created") }, title: exactTime(timeCreated) }, since(timeCreated)),
    h("td", { class: "end menu-cell" }, menu));
}

async function create() {
  const name = await prompt({
    title: t("bucket.new"), label: t("bucket.name"), hint: t("bucket.name.hint"), yes: t("bucket.create"), act: createBucket,
  });
  if (name) location.assign(pageOf(`buckets/${name}`));
}

async function remove(name) {
  if (!(await confirm({ title: t("bucket.delete.title"), text: t("bucket.delete.text", { name }), yes: t("bucket.delete") }))) return;
  try {
    await deleteBucket(name);
    toast(t("bucket.deleted"));
  } catch (error) {
    toast(error.message, "bad");
  }
  show();
}
