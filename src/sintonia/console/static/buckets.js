// Buckets and objects, as the storage API has them.

import { address, call, upload } from "./api.js";
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

/** Put a file at a name; `progress` is told the bytes that were sent. */
export function putObject(bucket, name, file, options) {
  return upload(`/upload${bucketPath(bucket)}/o`, { query: { uploadType: "media", name }, file, ...options });
}
