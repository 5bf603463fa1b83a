// The job of a draft as programs that create it. No token is in them: they read it from the environment.

import { rankOf } from "../jobs.js";
import { project, t } from "../page.js";
import { CURL_HEADERS, genaiClient, SDK_SIZES, SERVER } from "../programs.js";
import { inPython, inShell } from "../quoting.js";
import { jobOf } from "./create_draft.js";

const call = (name, given, indent = "") => [`${name}(`, ...given.map(([key, value]) => `${indent}    ${key}=${value},`), `${indent})`].join("\n");
const given = (pairs) => pairs.filter(([, value]) => value !== undefined);
const texts = (pairs) => given(pairs).map(([key, value]) => [key, inPython(value, "    ")]);

export function inCurl(draft) {
  return [
    "curl -X POST \\",
    ...CURL_HEADERS,
    `  ${inShell(`${SERVER}/v1/${draft.parent}/tuningJobs`)} \\`,
    `  -d ${inShell(JSON.stringify(jobOf(draft), null, 2))}`,
  ].join("\n");
}

export function inVertexai(draft) {
  const job = jobOf(draft);
  const spec = job.supervisedTuningSpec;
  const hyper = spec.hyperParameters ?? {};
  const rank = rankOf(hyper.adapterSize);
  const lacks = [
    spec.exportLastCheckpointOnly && "exportLastCheckpointOnly", job.preTunedModel?.checkpointId && "checkpointId",
    hyper.batchSize && "batchSize", job.description && "description", rank && !SDK_SIZES.includes(rank) && `adapterSize ${rank}`,
  ].filter(Boolean);
  return [
    "import os",
    "",
    "import vertexai",
    "from google.oauth2.credentials import Credentials",
    "from vertexai.tuning import sft",
    "",
    call("vertexai.init", [
      ...texts([["project", project], ["location", draft.region], ["api_endpoint", SERVER], ["api_transport", "rest"]]),
      ["credentials", 'Credentials(os.environ.get("SINTONIA_TOKEN", "none"))'],
    ]),
    ...lacks.map((name) => `# ${t("create.code.lacks", { name })}`),
    `job = ${call("sft.train", texts([
      ["source_model", job.baseModel ?? job.preTunedModel.tunedModelName],
      ["train_dataset", spec.trainingDatasetUri], ["validation_dataset", spec.validationDatasetUri],
      ["tuned_model_display_name", job.tunedModelDisplayName],
      ["epochs", hyper.epochCount], ["learning_rate_multiplier", hyper.learningRate ? undefined : hyper.learningRateMultiplier], ["learning_rate", hyper.learningRate],
      ["adapter_size", SDK_SIZES.includes(rank) ? rank : undefined], ["labels", job.labels],
    ]))}`,
    "print(job.resource_name)",
  ].join("\n");
}

export function inGenai(draft) {
  const job = jobOf(draft);
  const spec = job.supervisedTuningSpec;
  const hyper = spec.hyperParameters ?? {};
  const dataset = (kind, uri) => `types.${kind}(gcs_uri=${inPython(uri)})`;
  const config = [
    ...(spec.validationDatasetUri ? [["validation_dataset", dataset("TuningValidationDataset", spec.validationDatasetUri)]] : []),
    ...texts([
      ["tuned_model_display_name", job.tunedModelDisplayName], ["description", job.description],
      ["epoch_count", hyper.epochCount], ["learning_rate_multiplier", hyper.learningRateMultiplier], ["learning_rate", hyper.learningRate],
      ["batch_size", hyper.batchSize && Number(hyper.batchSize)], ["adapter_size", hyper.adapterSize],
      ["pre_tuned_model_checkpoint_id", job.preTunedModel?.checkpointId], ["labels", job.labels],
    ]),
    ...(spec.exportLastCheckpointOnly ? [["export_last_checkpoint_only", "True"]] : []),
  ];
  return [
    ...genaiClient(draft.region),
    `job = ${call("client.tunings.tune", [
      ["base_model", inPython(job.baseModel ?? job.preTunedModel.tunedModelName)],
      ["training_dataset", dataset("TuningDataset", spec.trainingDatasetUri)],
      ...(config.length ? [["config", call("types.CreateTuningJobConfig", config, "    ")]] : []),
    ])}`,
    "print(job.name)",
  ].join("\n");
}
