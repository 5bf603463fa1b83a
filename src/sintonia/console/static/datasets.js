// What datasets look like: totals, distributions, and the lines that are bad or left out.

import { call, own } from "./api.js";
import { button, fill, h } from "./dom.js";
import { count } from "./format.js";
import { histogram } from "./histogram.js";
import { t } from "./page.js";
import { errorState, save, toast } from "./parts.js";

const LINES = 25;
const ALL_LINES = 1000;
const COLUMNS = ["dataset", "line", "example", "category", "reason", "excerpt"];
const DISTRIBUTIONS = [
  ["input", "userInputTokenDistribution"],
  ["output", "userOutputTokenDistribution"],
  ["messages", "userMessagePerExampleDistribution"],
];

export const DATASETS = ["training", "validation"];

/** A switch between the two datasets. */
export function datasetChoice(chosen, choose) {
  const segment = (dataset) => h("label", { class: "segment" },
    h("input", { type: "radio", name: "dataset", value: dataset, checked: dataset === chosen, change: () => choose(dataset) }), h("span", {}, t(`dataset.${dataset}`)));
  return h("div", { class: "segments dataset-choice", role: "radiogroup", "aria-label": t("dataset.which") }, DATASETS.map(segment));
}

/** The distributions of a dataset's statistics. */
export function distributions(stats) {
  const known = DISTRIBUTIONS.filter(([, field]) => stats[field]);
  return known.length > 0 && h("section", {}, h("div", { class: "section-head" }, h("h2", {}, t("dataset.distributions"))),
    h("div", { class: "histograms" }, known.map(([key, field]) => histogram(t(`dataset.${key}`), t(`dataset.${key}.hint`), stats[field]))));
}

/** Numbers with labels, in a row; those that are not known are left out. */
export function totals(entries) {
  const known = entries.filter(([, value]) => value !== undefined && value !== null);
  return h("dl", { class: "facts" }, known.map(([label, value]) => h("div", {}, h("dt", {}, label), h("dd", { class: "number" }, value))));
}

/**
 * Fill `place` with the lines that the report of a job or a validation tells of, page by page; `reports` are those of
 * its datasets. Nothing is asked where no line is bad or left out.
 */
export async function showLines(place, name, reports, offset = 0, known = []) {
  const all = reports.reduce((sum, { bad = 0, dropped = 0 }) => sum + bad + dropped, 0);
  if (!all) return fill(place);
  let page;
  try {
    page = await call("GET", own(`${name}/datasetReport`), { query: { offset, limit: LINES } });
  } catch (error) {
    return fill(place, h("div", { class: "card" }, errorState(error, () => showLines(place, name, reports, offset, known))));
  }
  const lines = [...known, ...(page.lines ?? [])];
  const row = ({ dataset, line, category, reason, excerpt }) => h("tr", {},
    h("td", { class: "end number", data: { label: t("report.line") } }, count(line)),
    h("td", { data: { label: t("report.file") } }, t(`dataset.${dataset}`)),
    h("td", { class: "nowrap", data: { label: t("report.what") } }, h("code", {}, category)),
    h("td", { class: "reason", data: { label: t("report.reason") } }, h("div", {}, reason, excerpt && h("code", { class: "excerpt", dir: "ltr" }, excerpt))));
  const column = (key, look = "") => h("th", { scope: "col", class: look }, t(key));
  const download = (key, write, type) => button(t(`report.${key}`), ({ currentTarget }) => saveLines(currentTarget, name, key, write, type), { look: "small", symbol: "download" });
  return fill(place, h("section", {},
    h("div", { class: "section-head" }, h("h2", {}, t("report.title")), h("span", { class: "small muted" }, t("report.hint")), h("span", { class: "grow" }),
      download("csv", toCsv, "text/csv"), download("json", toJson, "application/json")),
    h("div", { class: "row tight-wrap categories" }, byCategory(reports).map(([category, lines]) => h("span", { class: "chip plain" }, h("code", {}, category), h("strong", { class: "number" }, count(lines))))),
    h("div", { class: "card table-box" },
      h("table", { class: "responsive" }, h("thead", {}, h("tr", {}, column("report.line", "end"), column("report.file"), column("report.what"), column("report.reason"))), h("tbody", {}, lines.map(row))),
      page.nextOffset !== undefined && h("div", { class: "paging" }, t("report.shown", { count: lines.length, all }), button(t("action.more"), () => showLines(place, name, reports, page.nextOffset, lines), { look: "small" })))));
}

/** How many lines there are of each category, most first. */
function byCategory(reports) {
  const found = {};
  for (const { categories = {} } of reports) for (const [category, lines] of Object.entries(categories)) found[category] = (found[category] ?? 0) + lines;
  return Object.entries(found).sort(([, a], [, b]) => b - a);
}

/** All lines of the report as a file. */
async function saveLines(opener, name, ending, write, type) {
  const parts = [];
  opener.disabled = true;
  try {
    for (let offset = 0; offset !== undefined;) {
      const page = await call("GET", own(`${name}/datasetReport`), { query: { offset, limit: ALL_LINES } });
      parts.push(write(page.lines ?? [], offset === 0, page.nextOffset === undefined));
      offset = page.nextOffset;
    }
    save(`bad-lines-${name.split("/").at(-1)}.${ending}`, parts, type);
  } catch (error) {
    toast(error.message, "bad");
  }
  opener.disabled = false;
}

const toCsv = (lines, first) => [...(first ? [COLUMNS.join(",")] : []), ...lines.map((line) => COLUMNS.map((name) => cell(line[name])).join(","))].join("\r\n") + "\r\n";
const toJson = (lines, first, last) => (first ? "[\n" : "") + lines.map((line) => JSON.stringify(line)).join(",\n") + (last ? "\n]\n" : ",\n");

/** What a spreadsheet would take for a formula begins with an apostrophe there. */
function cell(value) {
  const text = String(value ?? "").replace(/^[=+\-@\t\r]/, "'$&");
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
