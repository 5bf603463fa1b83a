// The objects of a bucket, folder by folder; files come in by a button or are dropped.

import { deleteObject, downloadAddress, objectsOf, uriOf } from "../buckets.js";
import { button, fill, h, icon, main } from "../dom.js";
import { exactTime, since, size } from "../format.js";
import { pageOf, path, t } from "../page.js";
import { confirm, copy, copyButton, emptyState, errorState, loadingState, menuButton, toast } from "../parts.js";
import { takeDrops, Uploads } from "../uploads.js";

const { bucket } = path;
const prefix = new URL(location.href).searchParams.get("prefix") ?? "";
const here = pageOf(`buckets/${bucket}`);
const folder = (to) => (to ? `${here}?${new URLSearchParams({ prefix: to })}` : here);

const picker = h("input", { type: "file", multiple: true, hidden: true, change: () => take([...picker.files]) });
const uploads = new Uploads();
const objects = h("div", {}, loadingState(4));
const dropzone = h("div", { class: "dropzone", data: { words: t("object.drop") } }, objects);
const choose = (look) => button(t("object.upload"), () => picker.click(), { look, symbol: "up", data: { needs: "TUNER" } });

document.title = `${bucket} · Sintonia`;
const steps = prefix.split("/").slice(0, -1);
fill(
  main,
  h("a", { class: "crumb", href: prefix ? folder(steps.slice(0, -1).map((step) => `${step}/`).join("")) : pageOf("buckets") }, icon("left"), prefix ? [bucket, ...steps.slice(0, -1)].join(" / ") : t("nav.buckets")),
  h("div", { class: "head" }, h("h1", {}, steps.at(-1) ?? bucket), copyButton(uriOf(bucket, prefix), t("object.copy")), h("div", { class: "actions" }, choose("primary"), picker)),
  uploads.element, dropzone,
);
show();
takeDrops(dropzone, take);

async function show(known = { items: [], prefixes: [] }, token = undefined) {
  let page;
  try {
    page = await objectsOf(bucket, prefix, token);
  } catch (error) {
    return fill(objects, h("div", { class: "card" }, errorState(error, () => show())));
  }
  const all = { items: [...known.items, ...(page.items ?? [])], prefixes: [...known.prefixes, ...(page.prefixes ?? [])] };
  if (!all.items.length && !all.prefixes.length) {
    return fill(objects, h("div", { class: "card" }, emptyState({ symbol: "folder", title: t("object.none.title"), text: t("object.none.text"), more: [choose("")] })));
  }
  const column = (key, look = "") => h("th", { scope: "col", class: look }, t(key));
  fill(objects, h("div", { class: "card" },
    h("div", { class: "table-box" }, h("table", { class: "responsive" },
      h("thead", {}, h("tr", {}, column("bucket.name"), column("object.size", "end"), column("object.updated"), h("th", { scope: "col" }, h("span", { class: "visually-hidden" }, t("models.actions"))))),
      h("tbody", {}, all.prefixes.map(folderRow), all.items.filter((item) => item.name !== prefix).map(objectRow)))),
    page.nextPageToken && h("div", { class: "paging" }, button(t("action.more"), () => show(all, page.nextPageToken), { look: "small" }))));
}

const title = (symbol, name, href, options) => h("td", { class: "title-cell" }, h("a", { class: "table-title file", href, ...options }, icon(symbol), h("span", {}, name)));

function folderRow(name) {
  return h("tr", {}, title("folder", name.slice(prefix.length), folder(name)), h("td", { class: "end" }), h("td"), h("td"));
}

function objectRow(item) {
  const address = downloadAddress(bucket, item.name);
  const file = item.name.slice(prefix.length);
  const menu = menuButton(t("models.actions"), () => [
    { label: t("object.copy"), symbol: "copy", act: () => copy(uriOf(bucket, item.name)) },
    { label: t("object.download"), symbol: "download", href: address, download: file },
    { label: t("object.delete"), symbol: "bin", danger: true, needs: "TUNER", act: () => remove(item.name) },
  ], { look: "quiet small" });
  return h("tr", {},
    title("file", file, address, { download: file }),
    h("td", { class: "end number nowrap", data: { label: t("object.size") } }, size(item.size ?? 0)),
    h("td", { class: "nowrap", data: { label: t("object.updated") }, title: exactTime(item.updated) }, since(item.updated)),
    h("td", { class: "end menu-cell" }, menu));
}

async function remove(name) {
  const uri = uriOf(bucket, name);
  if (!(await confirm({ title: t("object.delete.title"), text: t("object.delete.text", { uri }), yes: t("object.delete") }))) return;
  try {
    await deleteObject(bucket, name);
    toast(t("bucket.deleted"));
  } catch (error) {
    toast(error.message, "bad");
  }
  show();
}

/** Upload files one after the other. */
async function take(files) {
  picker.value = "";
  for (const file of files) await uploads.send(bucket, prefix + file.name, file);
  show();
}
