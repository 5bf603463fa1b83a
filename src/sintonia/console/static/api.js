// Every request of the console goes out from here.

import { base, encoded, t } from "./page.js";

/** A refusal in the API's own words, or that there was no answer (`status` 0). */
export class ApiError extends Error {
  constructor(message, status, name = "") {
    super(message);
    this.status = status;
    this.name = name || "ApiError";
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

/**
 * Send a file and answer the JSON reply. By XMLHttpRequest, as fetch does not tell how much was sent.
 * `progress(bytes)` is called on the way; `signal` stops it.
 */
export function upload(path, { query, file, progress, signal }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", address(path, query));
    request.setRequestHeader("Content-Type", file.type || "application/octet-stream");
    request.upload.onprogress = (event) => progress(event.loaded);
    request.onload = () => {
      if (request.status === 401 && signIn) return signIn().then(() => upload(path, { query, file, progress, signal })).then(resolve, reject);
      const answer = new Response(request.responseText, { status: request.status });
      (answer.ok ? answer.json().then(resolve) : refusal(answer).then(reject)).catch(reject);
    };
    request.onerror = () => reject(new ApiError(t("error.unreachable"), 0));
    request.onabort = () => reject(new DOMException("", "AbortError"));
    signal?.addEventListener("abort", () => request.abort());
    request.send(file);
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

async function send(url, request, asks) {
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
  if (!response.ok) throw await refusal(response);
  return response;
}

async function refusal(response) {
  const told = await response.json().catch(() => ({}));
  const { message, status } = told.error ?? {};
  return new ApiError(message || t("error.strange", { status: response.status }), response.status, status);
}
