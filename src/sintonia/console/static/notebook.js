// A tuning job as a notebook for the official SDK: its parameters, tuning, watching, asking. No token is in it.

import { idOf, rankOf } from "./jobs.js";
import { pageOf, place, project, t } from "./page.js";
import { save, toast } from "./parts.js";
import { ask, BY_REQUEST, BY_SDK, CONNECT, tune, watch } from "./notebook_cells.js";
import { SDK_SIZES, SERVER } from "./programs.js";
import { inPython } from "./quoting.js";

/** Download the notebook of a job, or of a request to create one in `region`, and say how to open it. */
export function openNotebook(job, region) {
  const file = fileOf(job);
  save(file, [JSON.stringify(notebookOf(job, region), null, 1), "\n"], "application/x-ipynb+json");
  toast(t("notebook.saved", { command: commandFor(job) }));
}

export const commandFor = (job) => `jupyter lab ${fileOf(job)}`;

/** A file name that needs no quotes in a shell. */
function fileOf(job) {
  const words = (job.tunedModelDisplayName ?? "").replace(/[^\p{L}\p{M}\p{N}]+/gu, "-").replace(/^-/, "");
  const short = [...words].slice(0, 40).join("").replace(/-$/, "");
  return `${[short || "tuning-job", job.name && idOf(job.name)].filter(Boolean).join("-")}.ipynb`;
}

/** The notebook (nbformat 4.5) that looks at a job, and can tune once more; or one that starts what is asked for. */
export function notebookOf(job, region = place) {
  const request = requestOf(job);
  const beyond = beyondSdk(request, job.name);
  const link = job.name ? t("notebook.link", { address: `${location.origin}${pageOf(job.name)}` }) : "";
  const cells = [
    words("title", `# ${inMarkdown(job.tunedModelDisplayName || t("notebook.title"))}`, link, t("notebook.intro"), t("notebook.token")),
    code("parameters", assignments({
      ADDRESS: SERVER, PROJECT_ID: project, REGION: region, TUNED_MODEL_DISPLAY_NAME: job.tunedModelDisplayName || null, JOB: job.name,
    })),
    words("connect-words", t("notebook.connect")),
    code("connect", CONNECT),
    words("tune-words", t("notebook.tune"), t(job.name ? "notebook.again" : "notebook.new"), beyond.length ? t("notebook.request", { fields: beyond.join(", ") }) : t("notebook.none")),
    code("settings", beyond.length ? assignments({ request }) : settings(request)),
    code("tune", tune(beyond.length ? BY_REQUEST : BY_SDK)),
    words("watch-words", t("notebook.watch")),
    code("watch", watch()),
    words("ask-words", t("notebook.ask")),
    code("ask", ask(firstQuestion(job))),
  ];
  const metadata = { kernelspec: { display_name: "Python 3", language: "python", name: "python3" }, language_info: { name: "python" } };
  return { cells, metadata, nbformat: 4, nbformat_minor: 5 };
}

/** What was asked for, or would be to have the same job once more; but for the name, which is a parameter. */
function requestOf({ description, labels, baseModel, preTunedModel, supervisedTuningSpec, outputUri, name }) {
  const { tunedModelName, checkpointId } = preTunedModel ?? {};
  return {
    baseModel,
    preTunedModel: preTunedModel && { tunedModelName, checkpointId },
    supervisedTuningSpec,
    labels: labels && Object.keys(labels).length ? labels : undefined,
    description: description || undefined,
    outputUri: name ? undefined : outputUri,  // what is there is not overwritten
  };
}

/** The fields that are beyond the arguments of the documented `sft.train`. */
function beyondSdk({ preTunedModel, supervisedTuningSpec: spec = {}, labels, description, outputUri }, made) {
  const { adapterSize, learningRate, batchSize } = spec.hyperParameters ?? {};
  return Object.entries({
    checkpointId: preTunedModel?.checkpointId,
    exportLastCheckpointOnly: spec.exportLastCheckpointOnly,
    adapterSize: adapterSize && !SDK_SIZES.includes(rankOf(adapterSize)),
    learningRate,
    batchSize: batchSize && !made,  // a job tells the recommended one too
    labels, description, outputUri,
  }).filter(([, value]) => value).map(([field]) => field);
}

function settings({ baseModel, preTunedModel, supervisedTuningSpec: spec = {} }) {
  const { epochCount, adapterSize, learningRateMultiplier } = spec.hyperParameters ?? {};
  return assignments({
    source_model: baseModel || preTunedModel?.tunedModelName,
    train_dataset: spec.trainingDatasetUri,
    validation_dataset: spec.validationDatasetUri,
    epochs: epochCount && Number(epochCount),
    adapter_size: rankOf(adapterSize),
    learning_rate_multiplier: learningRateMultiplier,
  });
}

const assignments = (values) => Object.entries(values).map(([name, value]) => `${name} = ${inPython(value)}`).join("\n");

/** What the first row of the dataset asks. */
function firstQuestion(job) {
  const turns = job.tuningDataStats?.supervisedTuningDataStats?.userDatasetExamples ?? [];
  return turns.find(({ role }) => role === "user")?.parts?.map(({ text }) => text ?? "").join("");
}

const words = (id, ...paragraphs) => ({ cell_type: "markdown", id, metadata: {}, source: paragraphs.filter(Boolean).join("\n\n") });
const code = (id, source) => ({ cell_type: "code", execution_count: null, id, metadata: {}, outputs: [], source });

/** Text that stays what it is in any dialect of Markdown. */
function inMarkdown(text) {
  const plain = text.replace(/\s+/g, " ").replace(/\p{C}/gu, "");
  return plain.replace(/[^\p{L}\p{M}\p{N} -]/gu, (mark) => `&#${mark.codePointAt(0)};`);
}
