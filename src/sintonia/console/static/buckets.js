// Buckets and objects, as the storage API has them.

import { address, call, uploads } from "./api.js";
import { project } from "./page.js";

const inPath = encodeURIComponent;
const bucketPath = (bucket) => `/storage/v1/b/${inPath(bucket)}`;
const objectPath = (bucket, name) => `${bucketPath(bucket)}/o/${inPath(name)}`;

export const uriOf = (bucket, name) => `gs://${bucket}/${name}`;
export const bucketsOf = (pageToken) => call("GET", "/storage/v1/b", { query: { project, pageToken, maxResults: 200 } });
export const createBucket = (name) => call("POST", "/storage/v1/b", { query: { project }, body: { name } });
export const deleteBucket = (name) => call("DELETE", bucketPath(name));
export const deleteObject = (bucket, name) => call("DELETE", objectPath(bucket, name));
export const downloadAddress = (bucket, name) => address(`/download${objectPath(bucket, name)}`, { alt: "media" });

/** Objects and folders right below `prefix`. */
export function objectsOf(bucket, prefix, pageToken) {
  return call("GET", `${bucketPath(bucket)}/o`, { query: { prefix, delimiter: "/", pageToken, maxResults: 200 } });
}

export async function exists(bucket, name) {
  const { items = [] } = await call("GET", `${bucketPath(bucket)}/o`, { query: { prefix: name, maxResults: 1, fields: "items(name)" } });
  return items[0]?.name === name;
}

/**
 * Put a file at a name; `progress` is told the bytes that have been sent, `began` the id of the upload. With the `id` of
 * one that was broken off, only what is lacking is sent.
 */
export async function putObject(bucket, name, file, { id, began, progress, signal } = {}) {
  const path = `/upload${bucketPath(bucket)}/o`;
  const from = id ? await uploads.arrived(path, id, file) : undefined;
  const known = from === undefined ? await uploads.begin(path, { name }, file) : id;
  began?.(known);
  signal?.throwIfAborted();
  return uploads.rest(path, known, file, { from: from ?? 0, progress, signal });
}
