// What datasets look like: distributions, sample rows as conversations, and the lines that are bad or left out.

import { call, own } from "./api.js";
import { button, fill, h } from "./dom.js";
import { count } from "./format.js";
import { histogram } from "./histogram.js";
import { t } from "./page.js";
import { errorState } from "./parts.js";

const LINES = 100;
const DISTRIBUTIONS = [
  ["input", "userInputTokenDistribution"],
  ["output", "userOutputTokenDistribution"],
  ["messages", "userMessagePerExampleDistribution"],
];

/** Sections about the statistics of a dataset. */
export function distributionsAndSamples(stats) {
  const rows = conversations(stats.userDatasetExamples ?? []);
  const known = DISTRIBUTIONS.filter(([, field]) => stats[field]);
  return [
    known.length > 0 && h("section", {}, h("div", { class: "section-head" }, h("h2", {}, t("dataset.distributions"))),
      h("div", { class: "histograms" }, known.map(([key, field]) => histogram(t(`dataset.${key}`), t(`dataset.${key}.hint`), stats[field])))),
    rows.length > 0 && h("section", {}, h("div", { class: "section-head" }, h("h2", {}, t("dataset.samples")), h("span", { class: "small muted" }, t("dataset.samples.hint"))),
      h("div", { class: "conversations" }, rows.map(conversation))),
  ];
}

/** Numbers with labels, in a row; those that are not known are left out. */
export function totals(entries) {
  const known = entries.filter(([, value]) => value !== undefined && value !== null);
  return h("dl", { class: "facts" }, known.map(([label, value]) => h("div", {}, h("dt", {}, label), h("dd", { class: "number" }, value))));
}

/** Fill `place` with the lines that the report of a job or a validation tells of, page by page. */
export async function showLines(place, name, offset = 0, known = []) {
  let page;
  try {
    page = await call("GET", own(`${name}/datasetReport`), { query: { offset, limit: LINES } });
  } catch (error) {
    return fill(place, h("div", { class: "card" }, errorState(error, () => showLines(place, name, offset, known))));
  }
  const lines = [...known, ...(page.lines ?? [])];
  if (!lines.length) return fill(place);
  const row = ({ dataset, line, category, reason }) => h("tr", {},
    h("td", { class: "end number", data: { label: t("report.line") } }, count(line)),
    h("td", { data: { label: t("report.file") } }, t(`dataset.${dataset}`)),
    h("td", { data: { label: t("report.what") } }, h("code", {}, category)),
    h("td", { class: "reason", data: { label: t("report.reason") } }, reason));
  const column = (key, look = "") => h("th", { scope: "col", class: look }, t(key));
  return fill(place, h("section", {},
    h("div", { class: "section-head" }, h("h2", {}, t("report.title")), h("span", { class: "small muted" }, t("report.hint"))),
    h("div", { class: "card table-box" },
      h("table", { class: "responsive" }, h("thead", {}, h("tr", {}, column("report.line", "end"), column("report.file"), column("report.what"), column("report.reason"))), h("tbody", {}, lines.map(row))),
      page.nextOffset !== undefined && h("div", { class: "paging" }, t("report.shown", { count: lines.length }), button(t("action.more"), () => showLines(place, name, page.nextOffset, lines), { look: "small" })))));
}

/** The API tells the turns of its sample rows in one list: a row begins where the model does not speak after it spoke. */
function conversations(turns) {
  const found = [];
  turns.forEach((turn, i) => {
    const previous = turns[i - 1];
    const begins = !previous || (previous.role === "model" && turn.role !== "model" && !answers(turn));
    if (begins) found.push([]);
    found.at(-1).push(turn);
  });
  return found;
}

const answers = (turn) => (turn.parts ?? []).some((part) => part.functionResponse);

function conversation(turns) {
  return h("article", { class: "card conversation" }, turns.map((turn) => {
    const role = turn.role === "model" ? "model" : turn.role === "system" ? "system" : "user";
    return h("div", { class: `turn ${role}` },
      h("span", { class: "speaker" }, t(`role.${role}`), role === "model" && h("span", { class: "learned" }, t("dataset.learned"))),
      (turn.parts ?? []).map((part) => (part.text === undefined ? h("pre", {}, JSON.stringify(part, null, 2)) : h("p", {}, part.text))));
  }));
}
