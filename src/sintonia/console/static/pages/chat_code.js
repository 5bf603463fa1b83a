// The conversation as a program: curl and Python, with no token inside.

import { v1 } from "../api.js";
import { button, fill, h } from "../dom.js";
import { place, t } from "../page.js";
import { code } from "../parts.js";
import { CURL_HEADERS, genaiClient, SERVER } from "../programs.js";
import { inPython } from "../quoting.js";
import { fullName } from "./chat_targets.js";

/** Show the request of each of `asked` (`{label, target, body}`) as a program. */
export function showCode(asked) {
  const form = h("form", { class: "row", change: () => show() },
    segments("language", [["curl", "curl"], ["python", "Python"]]),
    asked.length > 1 && segments("column", asked.map(({ label }, i) => [String(i), label])));
  const lines = h("div");
  const dialog = h("dialog", { class: "wide", "aria-labelledby": "code-title", close: () => dialog.remove() },
    h("h2", { id: "code-title" }, t("chat.code")), h("p", {}, t("chat.code.text")),
    h("div", { class: "stack tight fields" }, form, lines),
    h("div", { class: "answers" }, button(t("action.close"), () => dialog.close())));
  function show() {
    const chosen = new FormData(form);
    const { target, body } = asked[Number(chosen.get("column") ?? 0)];
    fill(lines, code((chosen.get("language") === "curl" ? curl : python)(fullName(target), body), t("chat.code")));
  }
  form.addEventListener("submit", (event) => event.preventDefault());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  show();
  document.body.append(dialog);
  dialog.showModal();
}

function segments(name, items) {
  return h("div", { class: "segments" }, items.map(([value, label], i) => h("label", { class: "segment" },
    h("input", { type: "radio", name, value, checked: i === 0 }), h("span", {}, label))));
}

/** The body comes by a here-document that expands nothing, and no line of it can be the one that ends it. */
function curl(name, { contents, ...rest }) {
  const turns = contents.map((turn) => `    ${JSON.stringify(turn)}`).join(",\n");
  const others = Object.entries(rest).filter(([, value]) => value).map(([key, value]) => `,\n  "${key}": ${JSON.stringify(value)}`);
  return [
    `curl -X POST '${SERVER}${v1(name).replaceAll("'", "%27")}:generateContent' \\`,
    ...CURL_HEADERS,
    "  --data-binary @- <<'JSON'",
    `{\n  "contents": [\n${turns}\n  ]${others.join("")}\n}`,
    "JSON",
  ].join("\n");
}

const PYTHON_NAMES = { temperature: "temperature", topP: "top_p", topK: "top_k", maxOutputTokens: "max_output_tokens", stopSequences: "stop_sequences", seed: "seed" };

function python(name, { contents, systemInstruction, generationConfig }) {
  const turns = contents.map(({ role, parts }) => `        types.Content(role="${role}", parts=[types.Part(text=${inPython(parts[0].text)})]),`);
  const config = Object.entries(PYTHON_NAMES).filter(([key]) => generationConfig[key] !== undefined)
    .map(([key, word]) => `        ${word}=${inPython(generationConfig[key], "        ")},`);
  if (systemInstruction) config.unshift(`        system_instruction=${inPython(systemInstruction.parts[0].text)},`);
  return [
    ...genaiClient(place),
    "response = client.models.generate_content(",
    `    model=${inPython(name)},`,
    "    contents=[", ...turns, "    ],",
    ...(config.length ? ["    config=types.GenerateContentConfig(", ...config, "    ),"] : []),
    ")", "print(response.text)",
  ].join("\n");
}
