// Files on their way into a bucket: a line for each, which tells how far it is and can stop it; and files that are dropped.

import { exists, putObject, uriOf } from "./buckets.js";
import { h, icon, say, symbolButton } from "./dom.js";
import { size } from "./format.js";
import { may } from "./me.js";
import { t } from "./page.js";
import { confirm, toast } from "./parts.js";

export class Uploads {
  #stay = (event) => event.preventDefault();  // the browser asks before a page that uploads is left

  constructor() {
    this.element = h("ul", { class: "uploads", hidden: true });
  }

  /**
   * Upload one file; what exists is replaced only after a question. Answers what became of it: "done", "stopped" or
   * "failed". `began` is told the id of the upload, with which one that failed is gone on with.
   */
  async send(bucket, name, file, { id, began } = {}) {
    const stop = new AbortController();
    const part = h("span");
    const words = h("span", { class: "small muted number" });
    const bar = h("div", { class: "progress", role: "progressbar", "aria-label": file.name, "aria-valuemin": "0", "aria-valuemax": "100" }, part);
    const line = h("li", { class: "card" }, icon("file"), h("div", {}, h("strong", {}, file.name), " ", words, bar), symbolButton("close", t("object.stop", { name: file.name }), () => stop.abort(), { look: "quiet small" }));
    const progress = (bytes) => {
      const done = file.size ? Math.min(100, Math.round((100 * bytes) / file.size)) : 100;
      part.style.width = `${done}%`;
      bar.setAttribute("aria-valuenow", done);
      say(words, t("object.sent", { part: size(Math.min(bytes, file.size)), all: size(file.size) }));
    };
    const replace = () => confirm({ title: t("object.replace.title"), text: t("object.replace.text", { uri: uriOf(bucket, name) }), yes: t("object.replace.yes"), look: "primary" });
    try {
      if (!id && (await exists(bucket, name)) && !(await replace())) return "stopped";
      this.#add(line);
      progress(0);
      await putObject(bucket, name, file, { id, began, progress, signal: stop.signal });
      toast(t("object.uploaded", { name: file.name }));
      return "done";
    } catch (error) {
      if (stop.signal.aborted) return "stopped";
      toast(error.message, "bad");
      return "failed";
    } finally {
      this.#remove(line);
    }
  }

  #add(line) {
    this.element.append(line);
    this.element.hidden = false;
    window.addEventListener("beforeunload", this.#stay);
  }

  #remove(line) {
    line.remove();
    this.element.hidden = !this.element.childElementCount;
    if (this.element.hidden) window.removeEventListener("beforeunload", this.#stay);
  }
}

/** Let files be dropped on `element`, which has the class `dropzone`; `take` gets them. */
export function takeDrops(element, take) {
  let over = 0;  // enter and leave come for every element on the way
  const dragged = (event) => may("TUNER") && event.dataTransfer?.types.includes("Files");
  element.addEventListener("dragenter", (event) => dragged(event) && (event.preventDefault(), (over += 1), element.classList.add("over")));
  element.addEventListener("dragleave", () => (over -= 1) || element.classList.remove("over"));
  element.addEventListener("dragover", (event) => dragged(event) && event.preventDefault());
  element.addEventListener("drop", (event) => {
    if (!dragged(event)) return;
    event.preventDefault();
    over = 0;
    element.classList.remove("over");
    take([...event.dataTransfer.files]);
  });
  // A file that is dropped beside it would be opened in the place of the page.
  for (const kind of ["dragover", "drop"]) window.addEventListener(kind, (event) => event.dataTransfer?.types.includes("Files") && event.preventDefault());
}
