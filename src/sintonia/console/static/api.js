// Every request of the console goes out from here.

import { base, encoded, t } from "./page.js";

const INCOMPLETE = 308;  // the storage API's word for an upload that lacks a part; no redirection
/** Milliseconds: a browser breaks the connections of a page that is left before it tells the page so. */
const LEAVING = 200;

/** A refusal in the API's own words, or that there was no answer (`status` 0). */
export class ApiError extends Error {
  constructor(message, status, name = "", details = []) {
    super(message);
    this.status = status;
    this.name = name || "ApiError";
    /** What is wrong with which field, `{field, description}`, where the API tells. */
    this.violations = details.flatMap((detail) => detail.fieldViolations ?? []).filter(({ field }) => field);
  }
}

let signIn = null;

/** Who is called when the server asks who one is; what was asked for is asked again when `ask` is done. */
export const whenAsked = (ask) => (signIn = ask);

/**
 * The JSON answer of the API. `path` begins behind the server's address; `query` leaves out what is undefined. What is
 * not to ask for a sign-in says `asks: false`.
 */
export async function call(method, path, { query = {}, body, signal, asks = true } = {}) {
  const request = { method, signal, headers: {}, credentials: "same-origin" };
  if (body !== undefined) {
    request.headers["Content-Type"] = "application/json";
    request.body = JSON.stringify(body);
  }
  const response = await send(address(path, query), request, asks);
  const text = await response.text();
  return text ? JSON.parse(text) : {};
}

/** The JSON messages of an answer that comes in pieces (server-sent events), one after the other. */
export async function* stream(path, { body, signal }) {
  const headers = { "Content-Type": "application/json" };
  const response = await send(address(path, { alt: "sse" }), { method: "POST", signal, headers, credentials: "same-origin", body: JSON.stringify(body) });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  const next = () => reader.read().catch(async (error) => {
    if (error.name === "AbortError") throw error;
    await new Promise((stays) => setTimeout(stays, LEAVING));
    throw new ApiError(t("error.broken"), 0);
  });
  let rest = "";
  for (let part = await next(); !part.done; part = await next()) {
    const lines = (rest + part.value).split(/\r?\n/);
    rest = lines.pop();
    for (const line of lines) {
      if (!line.startsWith("data: ")) continue;
      const told = JSON.parse(line.slice(6));
      if (told.error) throw new ApiError(told.error.message, told.error.code, told.error.status);
      yield told;
    }
  }
}

/**
 * An upload that may be gone on with: begin one, ask how far one is, send the rest of its file. `path` and `query` are
 * those of the object, `id` is what `begin` answers.
 */
export const uploads = {
  async begin(path, query, file) {
    const headers = { "X-Upload-Content-Type": file.type || "application/octet-stream", "X-Upload-Content-Length": file.size };
    const response = await send(address(path, { ...query, uploadType: "resumable" }), { method: "POST", headers }, true);
    return response.headers.get("X-GUploader-UploadID");
  },

  /** How many bytes have arrived; undefined if the server has forgotten the upload. */
  async arrived(path, id, file) {
    const headers = { "Content-Range": `bytes */${file.size}` };
    try {
      const response = await send(address(path, { upload_id: id }), { method: "PUT", headers }, true);
      return response.status === INCOMPLETE ? Number(response.headers.get("Range")?.split("-")[1] ?? -1) + 1 : file.size;
    } catch (error) {
      if (error.status === 404) return undefined;
      throw error;
    }
  },

  /** By XMLHttpRequest, as fetch does not tell how much was sent: `progress(bytes)`. `signal` stops it. */
  rest(path, id, file, { from, progress, signal }) {
    return transfer(address(path, { upload_id: id }), file, from, progress, signal);
  },
};

function transfer(url, file, from, progress, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("PUT", url);
    request.setRequestHeader("Content-Range", file.size > from ? `bytes ${from}-${file.size - 1}/${file.size}` : `bytes */${file.size}`);
    request.upload.onprogress = (event) => progress(from + event.loaded);
    request.onload = () => {
      if (request.status === 401 && signIn) return signIn().then(() => transfer(url, file, from, progress, signal)).then(resolve, reject);
      const answer = new Response(request.responseText, { status: request.status });
      (answer.ok ? answer.json().then(resolve) : refusal(answer).then(reject)).catch(reject);
    };
    request.onerror = () => reject(new ApiError(t("error.unreachable"), 0));
    request.onabort = () => reject(new DOMException("", "AbortError"));
    signal?.addEventListener("abort", () => request.abort());
    request.send(file.slice(from));
  });
}

/** The address of something of the API. */
export function address(path, query = {}) {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const item of [value].flat()) if (item !== undefined && item !== "") parameters.append(name, item);
  }
  const question = parameters.toString();
  return `${base}${path}${question && "?"}${question}`;
}

/** The API's paths of a resource: the documented ones, and our own. */
export const v1 = (name) => `/v1/${encoded(name)}`;
export const own = (name) => `/sintonia/v1/${encoded(name)}`;

async function send(url, request, asks = true) {
  let response;
  try {
    response = await fetch(url, request);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(t("error.unreachable"), 0);
  }
  if (response.status === 401 && signIn && asks) {
    await signIn();
    return send(url, request, asks);
  }
  if (!response.ok && response.status !== INCOMPLETE) throw await refusal(response);
  return response;
}

async function refusal(response) {
  const told = await response.json().catch(() => ({}));
  const { message, status, details } = told.error ?? {};
  return new ApiError(message || t("error.strange", { status: response.status }), response.status, status, details);
}
