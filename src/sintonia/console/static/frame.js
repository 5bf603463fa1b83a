// What surrounds every page, and begins it once it is known who looks.

import { fill, h, main } from "./dom.js";
import { may, projects, role } from "./me.js";
import { changeLanguage, language, needs, page, project, remember, signsIn, t } from "./page.js";
import { emptyState } from "./parts.js";
import { pageIn, rememberPlace } from "./place.js";

const preferences = document.getElementById("preferences");
preferences.addEventListener("change", () => {
  const chosen = new FormData(preferences);
  const theme = chosen.get("theme");
  remember("sintonia_theme", theme);
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  if (chosen.get("language") !== language) changeLanguage(chosen.get("language"));
});
preferences.addEventListener("submit", (event) => event.preventDefault());

if (new URL(location.href).searchParams.has("hl")) remember("sintonia_language", language);

begin();

async function begin() {
  if (signsIn) {
    await (await import("./sign_in.js")).know();
    (await import("./account.js")).showAccount();
  }
  showCurrent();
  if (page !== "lost") {
    if (project === "-") return location.replace(pageIn(projects()[0] ?? "local"));
    if (!role()) return showNoRole();
    rememberPlace();
    if (!may(needs)) return showLesserRole();
  }
  import(`./pages/${page}.js`);
}

/** On a phone the navigation is a row that may be wider. Not by scrollIntoView: that moves where the Tab key begins. */
function showCurrent() {
  const current = document.querySelector(".nav [aria-current]");
  if (current) current.parentElement.scrollLeft = current.offsetLeft - (current.parentElement.clientWidth - current.offsetWidth) / 2;
}

/** Of a project that one may not see, and that may not be there. */
function showNoRole() {
  const own = projects().map((name) => h("a", { class: "button", href: pageIn(name) }, name));
  fill(main, emptyState({
    symbol: "lock", title: t("access.none.title", { project }), text: t(own.length ? "access.none.text" : "access.none.anywhere"),
    more: [h("div", { class: "row" }, own)],
  }));
}

/** Of a page on which one could do nothing. */
function showLesserRole() {
  const name = (which) => t(`access.${which.toLowerCase()}`);
  fill(main, emptyState({
    symbol: "lock", title: t("error.denied"), text: t("access.lesser", { project, needed: name(needs), own: name(role()) }),
  }));
}
