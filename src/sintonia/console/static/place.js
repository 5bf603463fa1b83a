// The project and location that a page is about, and the way to others.

import { button, fill, h } from "./dom.js";
import { projects, seesAll } from "./me.js";
import { home, place, project, remember, t } from "./page.js";

const RECENT = "sintonia.places";

/** Where `/console/` leads from now on, and what is offered to switch to. */
export function rememberPlace() {
  const here = `${project}/${place}`;
  localStorage.setItem(RECENT, JSON.stringify([here, ...recent().filter((item) => item !== here)].slice(0, 8)));
  remember("sintonia_place", here);
}

const recent = () => JSON.parse(localStorage.getItem(RECENT) ?? "[]");

/** The first page of a project. */
export const pageIn = (name, at = place) => `${home}/projects/${encodeURIComponent(name)}/locations/${encodeURIComponent(at)}/tuningJobs`;

const opener = document.getElementById("place");
opener.hidden = project === "-";
opener.addEventListener("click", () => {
  const known = (part, more = []) => [...new Set([...more, ...recent().map((item) => item.split("/")[part])])];
  const field = (name, control) => h("label", { class: "field" }, h("span", { class: "label" }, t(`place.${name}`)), control);
  const input = (name, value, values) => {
    const list = h("datalist", { id: `${name}s` }, values.map((item) => h("option", { value: item })));
    return [field(name, h("input", { class: "input", name, value, list: list.id, required: true, pattern: "[^\\/\\s]+", autocomplete: "off", spellcheck: "false" })), list];
  };
  // Who may see some projects chooses one of them; all others can be any.
  const some = () => field("project", h("select", { class: "input", name: "project" },
    [...new Set([project, ...projects()])].sort().map((name) => h("option", { value: name, selected: name === project }, name))));
  const form = h("form", { method: "dialog" });
  const dialog = h("dialog", { "aria-labelledby": "place-title", close: () => dialog.remove() }, form);
  fill(
    form,
    h("h2", { id: "place-title" }, t("place.title")),
    h("p", {}, t(seesAll() ? "place.text" : "place.textOfSome")),
    h("div", { class: "fields" }, seesAll() ? input("project", project, known(0, projects())) : some(), input("location", place, known(1))),
    h("div", { class: "answers" },
      button(t("action.back"), () => dialog.close()),
      h("button", { class: "button primary", type: "submit" }, t("place.go")),
    ),
  );
  form.addEventListener("submit", () => {
    const [chosen, at] = ["project", "location"].map((name) => form.elements[name].value.trim());
    location.assign(pageIn(chosen, at));
  });
  document.body.append(dialog);
  dialog.showModal();
});
