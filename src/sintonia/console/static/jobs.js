// What pages say and do about a tuning job.

import { call, v1 } from "./api.js";
import { h, say } from "./dom.js";
import { count, duration, measure, percent } from "./format.js";
import { hasWords, pageOf, t } from "./page.js";
import { confirm, copy, toast } from "./parts.js";

const FINAL = ["JOB_STATE_SUCCEEDED", "JOB_STATE_FAILED", "JOB_STATE_CANCELLED"];
const LOOKS = {
  JOB_STATE_SUCCEEDED: "good", JOB_STATE_FAILED: "bad", JOB_STATE_CANCELLED: "",
  JOB_STATE_PENDING: "wait", JOB_STATE_CANCELLING: "wait", JOB_STATE_RUNNING: "busy",
};

export const isFinal = (state) => FINAL.includes(state);
export const idOf = (name) => name.split("/").at(-1);
export const titleOf = (job) => job.tunedModelDisplayName || idOf(job.name);
export const baseOf = (job) => (job.baseModel || job.preTunedModel?.baseModel || "").split("/").at(-1);

/** What answers for the job's model: the model, or while there is none yet, its newest checkpoint's endpoint. */
export const targetOf = (job) => job.tunedModel?.model || job.tunedModel?.endpoint || "";

const RANKS = { ONE: 1, TWO: 2, FOUR: 4, EIGHT: 8, SIXTEEN: 16, THIRTY_TWO: 32 };
/** An adapter size as a number, and as the API writes it. */
export const rankOf = (size) => RANKS[String(size ?? "").replace("ADAPTER_SIZE_", "")];
export const sizeOf = (rank) => `ADAPTER_SIZE_${Object.keys(RANKS).find((name) => RANKS[name] === Number(rank))}`;

/** The finer state while there is one: what a person wants to know. */
function stateWords({ state, tuningJobState }) {
  const finer = `state.${tuningJobState}`;
  const open = state === "JOB_STATE_PENDING" || state === "JOB_STATE_RUNNING";
  if (open && hasWords(finer)) return t(finer);
  return hasWords(`state.${state}`) ? t(`state.${state}`) : String(state ?? "");
}

export function stateChip() {
  const chip = h("span", { class: "chip" });
  return {
    element: chip,
    show(progress) {
      const look = `chip ${LOOKS[progress.state] ?? ""}`;
      if (chip.className !== look) chip.className = look;
      say(chip, stateWords(progress));
    },
  };
}

/** A bar of how much is done; gone when nothing is under way. */
export function progressBar(label) {
  const fill = h("span");
  const bar = h("div", { class: "progress", role: "progressbar", "aria-label": label, "aria-valuemin": "0", "aria-valuemax": "100" }, fill);
  return {
    element: bar,
    show(progress) {
      const known = progress.totalSteps > 0 && progress.step !== undefined;
      const part = known ? Math.round((100 * progress.step) / progress.totalSteps) : 0;
      bar.hidden = isFinal(progress.state) || progress.state === "JOB_STATE_CANCELLING" || (!known && progress.tuningJobState === "TUNING_JOB_STATE_WAITING_FOR_CAPACITY");
      bar.classList.toggle("unknown", !known);
      if (known) bar.setAttribute("aria-valuenow", part);
      else bar.removeAttribute("aria-valuenow");
      fill.style.width = known ? `${part}%` : "";
    },
  };
}

/** Where the job is, as pairs of a label and a value; the list shows the first of them, its page all. */
export function facts(progress) {
  const open = !isFinal(progress.state);
  const found = [];
  const tell = (key, value) => found.push([t(`fact.${key}`), value]);
  if (open && progress.queuePosition > 1) tell("queue", count(progress.queuePosition));
  if (progress.totalSteps) tell("step", t("fact.of", { part: progress.step ?? 0, all: progress.totalSteps }));
  else if (open && progress.rowsRead) tell("rows", count(progress.rowsRead));
  if (open && progress.secondsLeft !== undefined) tell("left", duration(progress.secondsLeft));
  if (progress.totalSteps && progress.epochs) {
    const epoch = Math.min((progress.epoch ?? 0) + (open ? 1 : 0), progress.epochs);
    tell("epoch", t("fact.of", { part: epoch, all: progress.epochs }));
  }
  if (progress.loss !== undefined) tell("loss", measure(progress.loss));
  if (progress.tokensPerSecond !== undefined) tell("speed", count(progress.tokensPerSecond));
  return found;
}

export function partDone(progress) {
  if (isFinal(progress.state)) return "";
  if (progress.state === "JOB_STATE_PENDING" && progress.queuePosition > 1) return t("fact.place", { place: progress.queuePosition });
  if (!progress.totalSteps) return progress.rowsRead ? t("fact.rowsRead", { count: progress.rowsRead }) : "";
  const done = percent((progress.step ?? 0) / progress.totalSteps);
  if (progress.secondsLeft === undefined) return done;
  return t("fact.doneAndLeft", { done, left: duration(progress.secondsLeft) });
}

/** Ask, then cancel; true if it was done. */
export async function cancel(job) {
  const yes = await confirm({
    title: t("cancel.title"), text: t("cancel.text", { name: titleOf(job) }), yes: t("cancel.yes"), no: t("cancel.no"),
  });
  if (!yes) return false;
  try {
    await call("POST", `${v1(job.name)}:cancel`, { body: {} });
  } catch (error) {
    toast(error.message, "bad");
    return false;
  }
  toast(t("cancel.done"));
  return true;
}

/** What may be done about a job, for menus. */
export function actions(job, state, changed) {
  const all = [{ label: t("action.copyName"), symbol: "copy", act: () => copy(job.name) }];
  if (job.tunedModel?.endpoint) all.push({ label: t("action.copyEndpoint"), symbol: "copy", act: () => copy(job.tunedModel.endpoint) });
  all.push({ label: t("action.tuneAgain"), symbol: "again", needs: "TUNER", href: `${pageOf("tuningJobs/create")}?from=${idOf(job.name)}` });
  if (!isFinal(state) && state !== "JOB_STATE_CANCELLING") {
    all.push({ label: t("action.cancel"), symbol: "stop", danger: true, needs: "TUNER", act: async () => (await cancel(job)) && changed() });
  }
  return all;
}
