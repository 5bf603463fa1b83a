// One answer: asked of the API, read as it comes, measured.

import { ApiError, stream, v1 } from "../api.js";
import { t } from "../page.js";
import { fullName } from "./chat_targets.js";

const said = (role, text) => ({ role, parts: [{ text }] });

/** What was said before and the prompt. What one of them did not answer never was, for that one. */
export function contentsOf(turns, column, prompt) {
  const before = turns.filter(({ answers }) => answers[column]?.text);
  return [...before.flatMap((turn) => [said("user", turn.prompt), said("model", turn.answers[column].text)]), said("user", prompt)];
}

export const newAnswer = (target) => ({ target, text: "", done: false });

/** Let `target` answer; `answer` grows, and `grew` is told so. Never throws: what went wrong is in `answer`. */
export async function run(answer, body, { signal, grew }) {
  const began = performance.now();
  let first = 0;
  try {
    for await (const { candidates = [], usageMetadata } of stream(`${v1(fullName(answer.target))}:streamGenerateContent`, { body, signal })) {
      const [{ content, finishReason } = {}] = candidates;
      const piece = (content?.parts ?? []).map((part) => part.text ?? "").join("");
      if (piece) first ||= performance.now();
      answer.text += piece;
      if (finishReason) answer.finish = finishReason;
      if (usageMetadata) answer.usage = { prompt: usageMetadata.promptTokenCount ?? 0, answer: usageMetadata.candidatesTokenCount ?? 0 };
      grew();
    }
    if (!answer.finish) throw new ApiError(t("error.broken"), 0);
  } catch (error) {
    if (error.name === "AbortError") answer.finish = "STOPPED";
    else answer.error = { message: error.message, status: error.status ?? 0, name: error.name };
  }
  const ended = performance.now();
  if (first) answer.first = (first - began) / 1000;
  if (first && answer.usage?.answer > 1 && ended > first) answer.speed = ((answer.usage.answer - 1) * 1000) / (ended - first);
  answer.done = true;
}
