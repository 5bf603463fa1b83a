// The side panel: what goes along with every prompt.

import { button, h, say } from "../dom.js";
import { decimal } from "../format.js";
import { t } from "../page.js";
import { savedSettings, saveSettings } from "./chat_store.js";

/** The API's own defaults, said aloud; the token limit's is the server's setting. */
const DEFAULTS = { system: "", temperature: "1", topP: "0.95", topK: "40", maxOutputTokens: "", stop: "", seed: "" };
const RANGES = { temperature: { min: 0, max: 2, step: 0.05 }, topP: { min: 0, max: 1, step: 0.01 } };
const NUMBERS = { topK: { min: 1 }, maxOutputTokens: { min: 1 }, seed: {} };

export class Settings {
  constructor() {
    this.values = { ...DEFAULTS, ...savedSettings() };
    this.inputs = {};
    this.outputs = {};
    const wide = window.matchMedia("(min-width: 64rem)").matches;
    this.element = h("details", { class: "card chat-settings", open: wide },
      h("summary", {}, h("h2", {}, t("chat.settings"))),
      h("div", { class: "fields" },
        this.#text("system", 3), this.#range("temperature"), this.#range("topP"),
        h("div", { class: "pair" }, this.#number("topK"), this.#number("seed")),
        this.#number("maxOutputTokens"), this.#text("stop", 2),
        button(t("chat.defaults"), () => this.#set(DEFAULTS), { look: "small" })));
    this.#set(this.values);
  }

  /** The fields of a request beside its `contents`. */
  request() {
    const number = (name) => (this.values[name].trim() === "" ? undefined : Number(this.values[name]));
    const { system, stop } = this.values;
    const stops = stop.split("\n").filter(Boolean).map((line) => line.replaceAll("\\n", "\n"));
    return {
      systemInstruction: system.trim() ? { parts: [{ text: system }] } : undefined,
      generationConfig: {
        temperature: number("temperature"), topP: number("topP"), topK: number("topK"),
        maxOutputTokens: number("maxOutputTokens"),
        stopSequences: stops.length ? stops : undefined, seed: number("seed"),
      },
    };
  }

  /** Whether all is well; what is not gets the focus, and says so. */
  valid() {
    const wrong = Object.values(this.inputs).find((input) => !input.checkValidity());
    if (wrong) this.element.open = true;
    wrong?.reportValidity();
    return !wrong;
  }

  #set(values) {
    for (const [name, input] of Object.entries(this.inputs)) input.value = values[name];
    this.#changed();
  }

  #changed() {
    for (const [name, input] of Object.entries(this.inputs)) this.values[name] = input.value;
    for (const [name, output] of Object.entries(this.outputs)) say(output, decimal(this.values[name]));
    saveSettings(this.values);
  }

  #field(name, input, output) {
    input.addEventListener("input", () => this.#changed());
    input.setAttribute("aria-describedby", `hint-${name}`);
    input.id = `setting-${name}`;
    this.inputs[name] = input;
    return h("div", { class: "field" },
      h("label", { class: "label", for: input.id }, t(`chat.set.${name}`)), output, input,
      h("p", { class: "hint", id: `hint-${name}` }, t(`chat.set.${name}.hint`)));
  }

  #text(name, rows) {
    return this.#field(name, h("textarea", { class: "input", rows, spellcheck: "false" }));
  }

  #range(name) {
    this.outputs[name] = h("output", { class: "setting-value number", for: `setting-${name}` });
    return this.#field(name, h("input", { type: "range", ...RANGES[name] }), this.outputs[name]);
  }

  #number(name) {
    return this.#field(name, h("input", { class: "input", type: "number", step: 1, inputmode: "numeric", ...NUMBERS[name] }));
  }
}
