// Create a tuned model: the model, its dataset and the report on it, one last look. The step is in the URL's hash.

import { button, fill, h, icon, main } from "../dom.js";
import { pageOf, t } from "../page.js";
import { confirm, errorState, loadingState, notice, problemIn } from "../parts.js";
import { DatasetStep } from "./create_dataset.js";
import { Draft, start } from "./create_draft.js";
import { ModelStep } from "./create_model.js";
import { ReviewStep } from "./create_review.js";

const STEPS = ["model", "dataset", "review"];
const draft = new Draft(new URL(location.href).searchParams.get("from") ?? "");
const place = h("div", {}, loadingState(6));
const again = button(t("create.over"), startOver, { look: "quiet", symbol: "again" });
fill(
  main,
  h("a", { class: "crumb", href: pageOf("tuningJobs") }, icon("left"), t("nav.tunedModels")),
  h("div", { class: "head" }, h("h1", {}, t("create.title")), h("div", { class: "actions" }, again)),
  place,
);
document.title = `${t("create.title")} · Sintonia`;
// A page that the browser kept would not know that its draft was started meanwhile.
window.addEventListener("pageshow", (event) => event.persisted && location.reload());
begin();

async function begin() {
  try {
    await draft.begin();
  } catch (error) {
    return fill(place, h("div", { class: "card" }, errorState(error, begin)));
  }
  build();
}

function build() {
  const steps = [new ModelStep(draft, () => go(1), () => mark()), new DatasetStep(draft, () => mark()), new ReviewStep(draft)];
  const marks = STEPS.map((name, i) => h("li", {}, h("a", { class: "step", href: `#${name}` },
    h("span", { class: "step-number", "aria-hidden": "true" }, h("span", {}, i + 1), icon("check")), h("span", {}, t(`create.step.${name}`)))));
  const back = button(t("create.back"), () => go(shown - 1), { symbol: "left" });
  const onward = button(t("create.next"), () => steps[shown].mayLeave() && go(shown + 1), { look: "primary" });
  const begin = button(t("create.start"), startJob, { look: "primary", symbol: "check" });
  const why = h("span", { class: "small muted" });
  const trouble = h("div", { role: "alert" });
  let shown = -1;

  fill(
    place,
    h("ol", { class: "stepper", "aria-label": t("create.steps") }, marks),
    steps.map((step) => step.element),
    h("div", { class: "wizard-end" }, trouble, h("div", { class: "wizard-foot" }, back, h("span", { class: "grow" }), why, onward, begin)),
  );
  window.addEventListener("hashchange", () => show(true));
  show(false);

  /** The last step that what was entered allows. */
  function allowed() {
    if (draft.wrong.length) return 0;
    return draft.verdict ? 2 : 1;
  }

  function go(step) {
    if (location.hash !== `#${STEPS[step]}`) history.pushState(null, "", `#${STEPS[step]}`);
    show(true);
  }

  /** Show the step that the address names, or the one before that keeps it from being shown. */
  function show(moved) {
    const asked = Math.max(0, STEPS.indexOf(location.hash.slice(1)));
    const step = Math.min(asked, allowed());
    if (step !== asked) history.replaceState(history.state, "", `#${STEPS[step]}`);
    fill(trouble);
    if (step !== shown) {
      shown = step;
      steps.forEach((one, i) => (one.element.hidden = i !== step));
      steps[step].shown();
      if (moved) window.scrollTo(0, 0);
    }
    mark();
    if (!moved) return;
    if (step === asked || steps[step].mayLeave()) (problemIn(steps[step].element) ?? steps[step].element.querySelector("h2")).focus();
  }

  /** Which steps are done, and whether one may go on. */
  function mark() {
    const most = allowed();
    marks.forEach((item, i) => {
      const link = item.firstElementChild;
      item.classList.toggle("done", i < shown);
      if (i === shown) link.setAttribute("aria-current", "step");
      else link.removeAttribute("aria-current");
      if (i <= Math.max(most, shown)) link.href = `#${STEPS[i]}`;
      else link.removeAttribute("href");
    });
    back.hidden = shown === 0;
    onward.hidden = shown === 2;
    begin.hidden = shown !== 2;
    const lacking = shown === 1 && most < 2;
    onward.disabled = lacking || (shown === 0 && steps[0].pending);
    why.textContent = lacking ? t("create.dataset.first") : "";
  }

  async function startJob() {
    begin.disabled = true;
    fill(trouble);
    try {
      location.assign(pageOf(await start(draft)));
    } catch (error) {
      begin.disabled = false;
      refused(error);
    }
  }

  /** What concerns a field is told there, in the step that has it; the rest here. */
  function refused(error) {
    const names = error.violations ? draft.refuse(error) : [];
    const concerned = steps.findIndex((step) => names.some((name) => step.has?.(name)));
    if (concerned === 1) draft.set({ check: null });
    if (concerned >= 0) go(concerned);
    fill(trouble, notice("bad", "warning", h("strong", {}, t("create.refused")), "\n", error.message));
  }
}

async function startOver() {
  if (!(await confirm({ title: t("create.over.title"), text: t("create.over.text"), yes: t("create.over") }))) return;
  draft.forget();
  history.replaceState(null, "", location.pathname + location.search);
  location.reload();
}
