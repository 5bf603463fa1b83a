// The tuning jobs of a project and the models they made, as they are right now.

import { ApiError, call, own, v1 } from "../api.js";
import { button, fill, h, icon, main, say, symbolButton } from "../dom.js";
import { exactTime, measure, since } from "../format.js";
import { actions, baseOf, idOf, isFinal, partDone, progressBar, stateChip, targetOf, titleOf } from "../jobs.js";
import { pageOf, parent, place as region, project, t, testOf } from "../page.js";
import { code, emptyState, errorState, loadingState, menuButton } from "../parts.js";
import { poll } from "../poll.js";

const PAGE = 20;
const OPEN = "(state=PENDING OR state=RUNNING OR state=CANCELLING)";
const STATES = { open: OPEN, succeeded: "state=SUCCEEDED", failed: "state=FAILED", cancelled: "state=CANCELLED" };
const FIELDS = "tuningJobs(name,state,tuningJobState,tunedModelDisplayName,baseModel,preTunedModel(baseModel),createTime,tunedModel(model,endpoint)),nextPageToken";

// What is looked at is in the URL, so that a refresh or a link shows the same.
const url = new URL(location.href);
const view = {
  search: url.searchParams.get("search") ?? "",
  state: url.searchParams.get("state") ?? "",
  order: url.searchParams.get("order") ?? "create_time desc",
};
let tokens = history.state?.tokens ?? [];  // of the pages up to this one; the first has none
let next = "";
const rows = new Map();

const search = h("input", { class: "input", type: "search", value: view.search, placeholder: t("models.search"), "aria-label": t("models.search") });
const state = h("select", { class: "input", "aria-label": t("models.state") },
  h("option", { value: "" }, t("models.state.all")),
  Object.keys(STATES).map((name) => h("option", { value: name, selected: name === view.state }, t(`models.state.${name}`))),
);
const tools = h("div", { class: "tools", hidden: true },
  h("label", { class: "search" }, icon("search"), search), state,
);
const trouble = h("div", { role: "alert" });
const body = h("tbody");
const heads = { display_name: sortable("models.name", "display_name"), create_time: sortable("models.created", "create_time") };
const table = h("table", { class: "responsive" },
  h("caption", { class: "visually-hidden" }, t("nav.tunedModels")),
  h("thead", {}, h("tr", {},
    heads.display_name,
    h("th", { scope: "col" }, t("models.status")),
    h("th", { scope: "col" }, t("models.base")),
    h("th", { scope: "col", class: "end" }, t("models.loss")),
    heads.create_time,
    h("th", { scope: "col" }, h("span", { class: "visually-hidden" }, t("models.actions"))),
  )),
  body,
);
const where = h("span");
const before = symbolButton("left", t("paging.before"), () => turn(-1), { look: "quiet small" });
const after = symbolButton("right", t("paging.after"), () => turn(1), { look: "quiet small" });
const paging = h("div", { class: "paging", hidden: true }, where, before, after);
const card = h("div", { class: "card" }, h("div", { class: "table-box" }, table), paging);
const place = h("div", {}, loadingState(5));

fill(
  main,
  h("div", { class: "head" }, h("h1", {}, t("nav.tunedModels")), h("div", { class: "actions" }, begin()), h("p", { class: "lead" }, t("models.lead"))),
  tools, trouble, place,
);

const poller = poll(look, (error) => {
  const strange = error && !rows.size && !place.contains(card);
  if (strange) fill(place, h("div", { class: "card" }, errorState(error, () => poller.now())));
  fill(trouble, error && !strange ? h("p", { class: "small muted" }, t("error.retrying", { message: error.message })) : null);
});
poller.now();

function begin() {
  return h("a", { class: "button primary", href: pageOf("tuningJobs/create"), data: { needs: "TUNER" } }, icon("plus"), t("create.title"));
}

let typing = 0;
search.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => change({ search: search.value.trim() }), 250);
});
state.addEventListener("change", () => change({ state: state.value }));

function sortable(key, field) {
  const click = () => {
    const descending = view.order === `${field} desc` || (view.order !== field && field === "create_time");
    change({ order: view.order === field || (descending && view.order !== `${field} desc`) ? `${field} desc` : field });
  };
  return h("th", { scope: "col" }, h("button", { class: "sort", type: "button", click }, t(key), icon("up")));
}

function change(wanted) {
  Object.assign(view, wanted);
  tokens = [];
  const here = new URL(location.href);
  for (const [name, value] of Object.entries(view)) {
    if (value && value !== "create_time desc") here.searchParams.set(name, value);
    else here.searchParams.delete(name);
  }
  history.replaceState({ tokens }, "", here);
  poller.now();
}

function turn(step) {
  tokens = step > 0 ? [...tokens, next] : tokens.slice(0, -1);
  history.replaceState({ tokens }, "");
  poller.now();
}

const quoted = (text) => `"${text.replace(/[\\"*]/g, (sign) => `\\${sign}`)}"`;

async function look() {
  const wanted = JSON.stringify([view, tokens]);
  const filters = [view.search && `display_name:${quoted(view.search)}`, STATES[view.state]].filter(Boolean);
  const query = { pageSize: PAGE, filter: filters.join(" AND "), orderBy: view.order, pageToken: tokens.at(-1), fields: FIELDS };
  let page;
  try {
    page = await call("GET", v1(`${parent}/tuningJobs`), { query });
  } catch (error) {
    // A token of yesterday's server, say: begin at the first page.
    if (!(error instanceof ApiError && error.status === 400 && tokens.length)) throw error;
    tokens = [];
    history.replaceState({ tokens }, "");
    return look();
  }
  const jobs = page.tuningJobs ?? [];
  const news = jobs.filter((job) => !isFinal(job.state) || !rows.get(job.name)?.settled);
  const query2 = { job: news.map((job) => idOf(job.name)) };
  const told = news.length ? (await call("GET", own(`${parent}/progress`), { query: query2 })).progress ?? {} : {};
  if (wanted !== JSON.stringify([view, tokens])) return look();  // something else was asked for meanwhile
  next = page.nextPageToken ?? "";
  show(jobs, told);
  return jobs.some((job) => !isFinal(job.state));
}

function show(jobs, told) {
  const filtered = view.search || view.state;
  tools.hidden = !jobs.length && !filtered && !tokens.length;
  for (const [field, head] of Object.entries(heads)) {
    const direction = { [field]: "ascending", [`${field} desc`]: "descending" }[view.order];
    if (direction) head.setAttribute("aria-sort", direction);
    else head.removeAttribute("aria-sort");
  }
  const names = new Set(jobs.map((job) => job.name));
  for (const name of rows.keys()) if (!names.has(name)) rows.delete(name);
  const wanted = jobs.map((job) => {
    const row = rows.get(job.name) ?? rows.set(job.name, newRow()).get(job.name);
    row.show(job, told[idOf(job.name)]);
    return row.element;
  });
  // Rows that stay are not touched: whoever is in one keeps the focus.
  if (wanted.length !== body.children.length || wanted.some((row, i) => body.children[i] !== row)) body.replaceChildren(...wanted);
  paging.hidden = !next && !tokens.length;
  say(where, t("paging.page", { page: tokens.length + 1 }));
  before.disabled = !tokens.length;
  after.disabled = !next;
  if (jobs.length || tokens.length) place.contains(card) || fill(place, card);
  else fill(place, h("div", { class: "card" }, filtered ? nothingFound() : nothingYet()));
}

function newRow() {
  const link = h("a", { class: "table-title" });
  const id = h("span", { class: "small muted number" });
  const chip = stateChip();
  const bar = progressBar(t("models.progress"));
  const part = h("div", { class: "small muted number" });
  const base = h("td", { class: "base-cell", data: { label: t("models.base") } });
  const loss = h("td", { class: "end number", data: { label: t("models.loss") } });
  const created = h("td", { class: "nowrap", data: { label: t("models.created") } });
  const row = { job: null, progress: null, settled: false };
  const menu = menuButton(t("models.actions"), () => [
    { label: t("action.details"), symbol: "info", href: pageOf(row.job.name) },
    ...(targetOf(row.job) ? [{ label: t("action.test"), symbol: "chat", href: testOf(targetOf(row.job)) }] : []),
    ...actions(row.job, row.progress.state, () => poller.now()),
  ], { look: "quiet small" });
  row.element = h("tr", {},
    h("td", { class: "title-cell" }, link, h("br"), id),
    h("td", { class: "status-cell" }, chip.element, part, bar.element),
    base, loss, created,
    h("td", { class: "end menu-cell" }, menu),
  );
  row.show = (job, told) => {
    const progress = { ...row.progress, ...told, state: told?.state ?? job.state };
    Object.assign(row, { job, progress, settled: isFinal(progress.state) });
    say(link, titleOf(job));
    link.href = pageOf(job.name);
    say(id, idOf(job.name));
    chip.show(progress);
    bar.show(progress);
    say(part, partDone(progress));
    say(base, baseOf(job));
    say(loss, progress.loss === undefined ? "–" : measure(progress.loss));
    say(created, since(job.createTime));
    created.title = exactTime(job.createTime);
  };
  return row;
}

function nothingFound() {
  const clear = () => {
    search.value = state.value = "";
    change({ search: "", state: "" });
  };
  return emptyState({ symbol: "search", title: t("models.none.title"), text: t("models.none.text"), more: [button(t("models.none.clear"), clear)] });
}

function nothingYet() {
  const lines = `sintonia jobs create --project ${project} --location ${region} --watch \\\n  --base-model gemini-1.0-pro-002 \\\n  --train gs://cloud-samples-data/ai-platform/generative_ai/sft_train_data.jsonl`;
  return emptyState({
    symbol: "models", title: t("models.first.title"), text: t("models.first.text"),
    more: [begin(), h("div", { class: "first-model" }, code(lines, t("models.first.command")))],
  });
}
