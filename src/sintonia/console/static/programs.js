// What the programs that pages show have in common. No token is in them: they read it from the environment.

import { base, project } from "./page.js";
import { inPython } from "./quoting.js";

/** Where programs find this server. */
export const SERVER = location.origin + base;

/** The adapter sizes that the documented `sft.train` takes. */
export const SDK_SIZES = [1, 4, 8, 16, 32];

/** Of a curl command: who asks, and that JSON comes. */
export const CURL_HEADERS = [
  '  -H "Authorization: Bearer ${SINTONIA_TOKEN:-none}" \\',
  '  -H "Content-Type: application/json; charset=utf-8" \\',
];

/** The `client` of google-genai, and `types`. */
export const genaiClient = (region) => [
  "import os", "",
  "from google import genai", "from google.genai import types", "from google.oauth2.credentials import Credentials", "",
  "client = genai.Client(",
  "    vertexai=True,",
  `    project=${inPython(project)},`,
  `    location=${inPython(region)},`,
  '    credentials=Credentials(os.environ.get("SINTONIA_TOKEN", "none")),',
  `    http_options=types.HttpOptions(base_url=${inPython(SERVER)}),`,
  ")",
];
