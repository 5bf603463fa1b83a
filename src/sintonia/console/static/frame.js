// What surrounds every page: language and theme, and the choice of project and location.

import { button, fill, h } from "./dom.js";
import { home, language, place, project, remember, t } from "./page.js";

const preferences = document.getElementById("preferences");
preferences.addEventListener("change", () => {
  const chosen = new FormData(preferences);
  const theme = chosen.get("theme");
  remember("sintonia_theme", theme);
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  if (chosen.get("language") !== language) {
    remember("sintonia_language", chosen.get("language"));
    const here = new URL(location.href);
    here.searchParams.delete("hl");
    location.replace(here);
    if (here.hash) location.reload();
  }
});
preferences.addEventListener("submit", (event) => event.preventDefault());

if (new URL(location.href).searchParams.has("hl")) remember("sintonia_language", language);

// On a phone the navigation is a row that may be wider. Not by scrollIntoView: that moves where the Tab key begins.
const current = document.querySelector(".nav [aria-current]");
if (current) current.parentElement.scrollLeft = current.offsetLeft - (current.parentElement.clientWidth - current.offsetWidth) / 2;

const RECENT = "sintonia.places";
const recent = JSON.parse(localStorage.getItem(RECENT) ?? "[]");
const here = `${project}/${place}`;
localStorage.setItem(RECENT, JSON.stringify([here, ...recent.filter((item) => item !== here)].slice(0, 8)));
remember("sintonia_place", here);

document.getElementById("place").addEventListener("click", () => {
  const known = (part, id) => h("datalist", { id }, [...new Set(recent.map((item) => item.split("/")[part]))].map((value) => h("option", { value })));
  const input = (name, value, list) => h("label", { class: "field" },
    h("span", { class: "label" }, t(`place.${name}`)),
    h("input", { class: "input", name, value, list, required: true, pattern: "[^\\/\\s]+", autocomplete: "off", spellcheck: "false" }),
  );
  const form = h("form", { method: "dialog" });
  const dialog = h("dialog", { "aria-labelledby": "place-title", close: () => dialog.remove() }, form);
  fill(
    form,
    h("h2", { id: "place-title" }, t("place.title")),
    h("p", {}, t("place.text")),
    h("div", { class: "fields" }, input("project", project, "projects"), input("location", place, "locations")),
    known(0, "projects"),
    known(1, "locations"),
    h("div", { class: "answers" },
      button(t("action.back"), () => dialog.close()),
      h("button", { class: "button primary", type: "submit" }, t("place.go")),
    ),
  );
  form.addEventListener("submit", () => {
    const [chosen, at] = ["project", "location"].map((name) => encodeURIComponent(form.elements[name].value.trim()));
    location.assign(`${home}/projects/${chosen}/locations/${at}/tuningJobs`);
  });
  document.body.append(dialog);
  dialog.showModal();
});
