// A tuning job: what it does right now, what it learns from, and everything about it.

import { call, own, v1 } from "../api.js";
import { button, fill, h, icon, main, say } from "../dom.js";
import { actions, cancel, facts, isFinal, progressBar, stateChip, targetOf, titleOf } from "../jobs.js";
import { openNotebook } from "../notebook.js";
import { pageOf, parent, path, t, testOf } from "../page.js";
import { errorState, loadingState, menuButton, notice, tabs } from "../parts.js";
import { poll } from "../poll.js";
import { Dataset } from "./job_dataset.js";
import { Details } from "./job_details.js";
import { Monitor } from "./job_monitor.js";

const LIVE = "name,state,tuningJobState,updateTime,tunedModel,error";
const LOOK_AGAIN = 10000;
const ERROR_LINES = 6;

const name = `${parent}/tuningJobs/${path.job}`;
const page = { job: null, progress: null, asked: 0 };

const crumb = h("a", { class: "crumb", href: pageOf("tuningJobs") }, icon("left"), t("nav.tunedModels"));
const place = h("div", {}, h("h1", { class: "visually-hidden" }, path.job), loadingState(6));
const trouble = h("div", { role: "alert" });
fill(main, crumb, trouble, place);

let parts = null;
const poller = poll(look, (error) => {
  if (error && !parts) fill(place, h("h1", { class: "visually-hidden" }, path.job), h("div", { class: "card" }, errorState(error, () => poller.now())));
  fill(trouble, error && parts ? h("p", { class: "small muted" }, t("error.retrying", { message: error.message })) : null);
});
poller.now();

async function look() {
  if (!parts) {
    const [job, progress, series] = await Promise.all([
      call("GET", v1(name)), call("GET", own(`${name}/progress`)), call("GET", own(`${name}/metrics`)),
    ]);
    page.job = job;
    page.asked = Date.now();
    parts = build();
    show(progress, series.series);
    return isFinal(job.state) ? "done" : true;
  }
  const [progress, { series }] = await Promise.all([
    call("GET", own(`${name}/progress`)), call("GET", own(`${name}/metrics`), { query: { after: parts.monitor.after } }),
  ]);
  const before = page.progress;
  const turned = progress.state !== before.state || progress.tuningJobState !== before.tuningJobState;
  if (turned) page.job = await call("GET", v1(name));
  else if (progress.epoch !== before.epoch || Date.now() - page.asked > LOOK_AGAIN) {
    Object.assign(page.job, await call("GET", v1(name), { query: { fields: LIVE } }));
    page.asked = Date.now();
  }
  show(progress, series);
  return isFinal(progress.state) && isFinal(page.job.state) && !turned ? "done" : true;
}

function build() {
  const chip = stateChip();
  const bar = progressBar(t("models.progress"));
  const numbers = h("dl", { class: "facts", hidden: true });
  const title = h("h1");
  const changed = () => poller.now();
  const test = h("a", { class: "button", hidden: true }, icon("chat"), t("action.test"));
  const stop = button(t("action.cancel"), async () => (await cancel(page.job)) && changed(), { symbol: "stop", data: { needs: "TUNER" } });
  const notebook = button(t("notebook.open"), () => openNotebook(page.job), { symbol: "notebook" });
  const menu = menuButton(t("models.actions"), () => actions(page.job, page.progress.state, changed).filter((item) => !item.danger), { look: "" });
  const problem = h("div", { class: "problem" });
  const monitor = new Monitor(name, changed);
  const dataset = new Dataset(name);
  const details = new Details(name);
  const [list, panels, choose] = tabs(t("job.tabs"), [
    { id: "monitor", label: t("job.monitor"), panel: monitor.element },
    { id: "dataset", label: t("job.dataset"), panel: dataset.element, shown: () => dataset.shown() },
    { id: "details", label: t("job.details"), panel: details.element, shown: () => details.shown() },
  ]);
  fill(
    place,
    h("div", { class: "head" }, title, h("span", { role: "status" }, chip.element), h("div", { class: "actions" }, test, notebook, stop, menu)),
    problem,
    h("div", { class: "live" }, bar.element, numbers),
    list, panels,
  );
  choose();
  return { title, chip, bar, numbers, test, stop, problem, monitor, dataset, details };
}

function show(progress, series) {
  const { job } = page;
  page.progress = progress;
  say(parts.title, titleOf(job));
  document.title = `${titleOf(job)} · Sintonia`;
  parts.chip.show(progress);
  parts.bar.show(progress);
  parts.test.hidden = !targetOf(job);
  if (targetOf(job)) parts.test.href = testOf(targetOf(job));
  parts.stop.hidden = isFinal(progress.state) || progress.state === "JOB_STATE_CANCELLING";
  const told = facts(progress);
  parts.numbers.hidden = !told.length;
  while (parts.numbers.children.length > told.length) parts.numbers.lastElementChild.remove();
  told.forEach(([label, value], i) => {
    const fact = parts.numbers.children[i] ?? parts.numbers.appendChild(h("div", {}, h("dt"), h("dd", { class: "number" })));
    say(fact.children[0], label);
    say(fact.children[1], value);
  });
  showProblem(job, progress);
  parts.monitor.show(job, progress, series);
  parts.dataset.show(job);
  parts.details.show(job, progress);
}

function showProblem(job, progress) {
  const failed = progress.state === "JOB_STATE_FAILED" && job.error;
  const key = failed ? job.error.message : "";
  if (parts.problem.dataset.shown === key) return;
  parts.problem.dataset.shown = key;
  // A bad dataset's error has a line for each bad line; the tab Dataset has them in a better form.
  const lines = key.split("\n");
  const told = lines.length > ERROR_LINES ? [...lines.slice(0, ERROR_LINES), "…"].join("\n") : key;
  fill(parts.problem, failed && notice("bad", "warning", h("strong", {}, t("job.failed")), "\n", told, "\n", h("span", { class: "muted" }, t(job.error.code === 3 ? "job.failed.input" : "job.failed.log"))));
}
