// Making elements. Text goes in as text and never as markup, whoever wrote it.

import { icons } from "./page.js";

/**
 * An element with children. Of `options`, functions are listeners, `class` and `data` are what they say, true and
 * false add and omit an attribute, and all else are attributes.
 */
export function h(tag, options = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(options)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (name === "data") Object.assign(element.dataset, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== undefined && value !== null) element.setAttribute(name, value);
  }
  element.append(...present(children));
  return element;
}

const present = (children) => children.flat(3).filter((child) => child !== null && child !== undefined && child !== false);

const SVG = "http://www.w3.org/2000/svg";

export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...present(children));
  return element;
}

export const icon = (name) => svg("svg", { class: "icon", "aria-hidden": "true" }, svg("use", { href: `${icons}#${name}` }));

/** Put `children` in the place of all that is in `element`. */
export function fill(element, ...children) {
  element.replaceChildren(...present(children));
  return element;
}

/** A resource name or an address in a fixed font, which may go on in the next line behind a slash. */
export const path = (name) => h("code", {}, name.split(/(?<=[/])/).flatMap((part) => [part, h("wbr")]).slice(0, -1));

/** Say `text` in `element`, touching the page only if that is news. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** A button; `look` is some of primary, danger, quiet, small. */
export function button(label, click, { look = "", symbol = "", ...options } = {}) {
  return h("button", { type: "button", class: `button ${look}`, click, ...options }, symbol && icon(symbol), label);
}

/** A button that shows a symbol only. */
export function symbolButton(symbol, label, click, { look = "quiet", ...options } = {}) {
  const attributes = { type: "button", class: `button icon-only ${look}`, "aria-label": label, title: label, click };
  return h("button", { ...attributes, ...options }, icon(symbol));
}

export const main = document.getElementById("main");
