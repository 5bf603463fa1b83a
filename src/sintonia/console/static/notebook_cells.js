// The Python of a job's notebook; `notebook.js` puts it together. It needs the SDK and nothing else: curves are SVG.

import { t } from "./page.js";
import { inPython } from "./quoting.js";

/** Ends in HEADERS, for what the SDK has no words for. The notebook of the examples has the same cell. */
export const CONNECT = `\
import os
from getpass import getpass

import requests
import vertexai
from google.oauth2.credentials import Credentials

TOKEN = os.environ.get("SINTONIA_TOKEN", "anything")
HEADERS = {"Authorization": f"Bearer {TOKEN}"}
if requests.get(f"{ADDRESS}/sintonia/v1/me", headers=HEADERS, timeout=60).status_code == 401:
    TOKEN = getpass("API token: ")
    HEADERS = {"Authorization": f"Bearer {TOKEN}"}
vertexai.init(
    project=PROJECT_ID,
    location=REGION,
    api_endpoint=ADDRESS,
    api_transport="rest",
    credentials=Credentials(TOKEN),
)`;

/** `start` is what makes a new job. */
export const tune = (start) => `\
import logging
from urllib.parse import quote

from IPython.display import HTML, Markdown, display
from IPython.utils.capture import capture_output
from vertexai.tuning import sft

# What the SDK itself says and displays leads to its vendor's console, where this job is not.
logging.getLogger("vertexai.tuning._tuning").setLevel(logging.WARNING)
with capture_output():
    if JOB:
        job = sft.SupervisedTuningJob(JOB)
    else:
${start.replace(/^(?=.)/gm, "        ")}
view = ${inPython(t("notebook.view"))}
print(job.resource_name)
display(Markdown(f"[{view}]({ADDRESS}/console/{quote(job.resource_name)})"))`;

export const BY_SDK = `\
job = sft.train(
    source_model=source_model,
    train_dataset=train_dataset,
    validation_dataset=validation_dataset,
    tuned_model_display_name=TUNED_MODEL_DISPLAY_NAME,
    epochs=epochs,
    adapter_size=adapter_size,
    learning_rate_multiplier=learning_rate_multiplier,
)`;

/** For a request with fields that the SDK cannot send. */
export const BY_REQUEST = `\
answer = requests.post(
    f"{ADDRESS}/v1/projects/{quote(PROJECT_ID)}/locations/{REGION}/tuningJobs",
    json={"tunedModelDisplayName": TUNED_MODEL_DISPLAY_NAME, **request},
    headers=HEADERS,
    timeout=60,
)
if not answer.ok:
    raise RuntimeError(answer.text)
job = sft.SupervisedTuningJob(answer.json()["name"])`;

export const watch = () => `\
import time

FINAL = ("JOB_STATE_SUCCEEDED", "JOB_STATE_FAILED", "JOB_STATE_CANCELLED")
KINDS = {"train": ("#1192a8", ${inPython(t("chart.train"))}), "eval": ("#d9640f", ${inPython(t("chart.eval"))})}
CHARTS = {
    "total_loss": ${inPython(t("chart.loss"))},
    "fraction_of_correct_next_step_preds": ${inPython(t("chart.accuracy"))},
    "num_predictions": ${inPython(t("chart.predictions"))},
}


def told(what):
    """What the server tells of the job and the SDK has no words for."""
    address = f"{ADDRESS}/sintonia/v1/{quote(job.resource_name)}/{what}"
    answer = requests.get(address, headers=HEADERS, timeout=60)
    answer.raise_for_status()
    return answer.json()


def chart(title, curves):
    """Curves as SVG; of each its colour, and pairs of step and value."""
    steps, values = zip(*(point for _, points in curves for point in points))
    first, last, low, high = min(steps), max(steps), min(values), max(values)
    drawn = '<path d="M50 24V144H350" fill="none" stroke="currentColor" opacity="0.4"/>'
    for x, y, anchor, text in (
        (50, 14, "start", title),
        (46, 36, "end", f"{high:.4g}"),
        (46, 144, "end", f"{low:.4g}"),
        (50, 160, "start", first),
        (350, 160, "end", last),
    ):
        drawn += f'<text x="{x}" y="{y}" text-anchor="{anchor}">{text}</text>'
    for colour, points in curves:
        places = [
            (50 + 300 * (step - first) / (last - first or 1), 140 - 108 * (value - low) / (high - low or 1))
            for step, value in points[:: len(points) // 500 + 1]
        ]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        drawn += f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
        if len(places) < 50:
            drawn += "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{colour}"/>' for x, y in places)
    return f'<svg width="360" height="166" font-size="12" fill="currentColor">{drawn}</svg>'


def picture():
    """Where the job is, and its curves so far, as HTML; and whether it has ended."""
    progress, series = told("progress"), told("metrics").get("series", {})
    ended = progress["state"] in FINAL
    facts = [progress["state"]]
    if "totalSteps" in progress:
        facts.append(${inPython(`${t("fact.step")} ${t("fact.of", { part: "{step}", all: "{totalSteps}" })}`)}.format(**{"step": 0, **progress}))
    if "secondsLeft" in progress and not ended:
        facts.append(${inPython(`${t("fact.left")}: {:.0f} s`)}.format(progress["secondsLeft"]))
    facts += [f'<span style="color: {colour}">●</span> {kind}' for colour, kind in KINDS.values()]
    charts = ""
    for name, title in CHARTS.items():
        curves = []
        for kind, (colour, _) in KINDS.items():
            one = series.get(f"/{kind}_{name}", {"steps": [], "values": []})
            points = [point for point in zip(one["steps"], one["values"]) if point[1] is not None]
            curves += [(colour, points)] if points else []
        charts += chart(title, curves) if curves else ""
    return HTML(f"<p>{' · '.join(facts)}</p>{charts}"), ended


shown, ended = picture()
output = display(shown, display_id=True)
try:
    while not ended:
        time.sleep(2)
        shown, ended = picture()
        output.update(shown)
except KeyboardInterrupt:
    print(${inPython(t("notebook.left"))})
with capture_output():
    job.refresh()
if job.error.message:
    print(job.error.message)`;

/** `prompt` is what is asked unless the reader writes something else; else it is what the first row asks. */
export const ask = (prompt) => `\
from vertexai.generative_models import GenerationConfig, GenerativeModel

if not job.tuned_model_endpoint_name:
    raise RuntimeError(${inPython(t("notebook.early"))})
prompt = ${prompt ? inPython(prompt) : "job.tuning_data_statistics.supervised_tuning_data_stats.user_dataset_examples[0].parts[0].text"}
system_instruction = None
model = GenerativeModel(job.tuned_model_endpoint_name, system_instruction=system_instruction)
config = GenerationConfig(temperature=0, max_output_tokens=256)
for chunk in model.generate_content(prompt, generation_config=config, stream=True):
    print(chunk.text, end="")`;
