// Parts that several pages have: states of a page, questions, notes, menus, tabs, what is to be copied.

import { button, fill, h, icon, say, symbolButton } from "./dom.js";
import { may } from "./me.js";
import { t } from "./page.js";

export function toast(text, look = "") {
  const note = h("div", { class: `toast ${look}` }, icon(look === "bad" ? "warning" : "check"), h("span", {}, text));
  document.getElementById("toasts").append(note);
  // Long enough to be read.
  setTimeout(() => note.remove(), Math.max(look === "bad" ? 9000 : 4000, 80 * text.length));
}

/** What a table or a page shows instead of nothing. */
export function emptyState({ symbol, title, text, more = [] }) {
  return h("div", { class: "state" }, icon(symbol), h("h2", {}, title), text && h("p", {}, text), more);
}

export function errorState(error, again) {
  const more = again ? [button(t("action.again"), again)] : [];
  if (error.status === 403) return emptyState({ symbol: "lock", title: t("error.denied"), text: error.message, more });
  return emptyState({ symbol: "warning", title: t("error.title"), text: error.message, more });
}

export function loadingState(lines = 4) {
  const widths = ["w60", "w90", "w75", "w40"];
  const all = Array.from({ length: lines }, (_, i) => h("div", { class: `skeleton line ${widths[i % 4]}` }));
  return h("div", { class: "card padded", role: "status", "aria-label": t("state.loading") }, all);
}

export function notice(look, symbol, ...children) {
  return h("div", { class: `notice ${look}` }, icon(symbol), h("div", { class: "text" }, children));
}

/** Ask by a dialog; true for yes. Escape and a click beside it are a no. */
export function confirm({ title, text, yes, look = "danger", no = t("action.keep") }) {
  return new Promise((resolve) => {
    const dialog = h("dialog", { "aria-labelledby": "question", close: () => (dialog.remove(), resolve(dialog.returnValue === "yes")) });
    fill(
      dialog,
      h("h2", { id: "question" }, title),
      h("p", {}, text),
      h("div", { class: "answers" },
        button(no, () => dialog.close("no"), { autofocus: true }),
        button(yes, () => dialog.close("yes"), { look }),
      ),
    );
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close("no"));
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** Ask for one line of text and do something with it; what `act` refuses is shown, and asked again. Null for no. */
export function prompt({ title, label, hint, yes, act }) {
  return new Promise((resolve) => {
    const input = h("input", { class: "input", required: true, autofocus: true, autocomplete: "off", spellcheck: "false" });
    const problem = h("p", { class: "problem-line", role: "alert" });
    const form = h("form", {},
      h("h2", { id: "prompt" }, title),
      h("div", { class: "fields" }, h("label", { class: "field" }, h("span", { class: "label" }, label), input, h("span", { class: "hint" }, hint)), problem),
      h("div", { class: "answers" }, button(t("action.back"), () => dialog.close()), h("button", { class: "button primary", type: "submit" }, yes)),
    );
    const dialog = h("dialog", { "aria-labelledby": "prompt", close: () => (dialog.remove(), resolve(dialog.returnValue || null)) }, form);
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      try {
        await act(input.value.trim());
        dialog.close(input.value.trim());
      } catch (error) {
        problem.textContent = error.message;
        input.focus();
      }
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

let fields = 0;

/** An input with a label above it; what is wrong with it and hints are below, and belong to it for screen readers too. */
export function field(label, input, ...hints) {
  fields += 1;
  input.setAttribute("aria-describedby", `problem-${fields} hint-${fields}`);
  return h("div", { class: "field" }, h("label", {}, h("span", { class: "label" }, label), input),
    h("p", { class: "problem-line", id: `problem-${fields}`, role: "alert" }), h("p", { class: "hint", id: `hint-${fields}` }, hints));
}

/** Say at the field of an input what is wrong with it; nothing, where all is well. */
export function complain(input, problem = "") {
  say(input.closest(".field").querySelector(".problem-line"), problem);
  if (problem) input.setAttribute("aria-invalid", "true");
  else input.removeAttribute("aria-invalid");
}

/** The first input of `element` with which something is wrong. */
export const problemIn = (element) => element.querySelector("[aria-invalid]:is(input, select), [aria-invalid] input:enabled");

export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    return toast(t("copy.failed"), "bad");
  }
  toast(t("copy.done"));
}

export const copyButton = (text, label = t("action.copy")) => symbolButton("copy", label, () => copy(text), { look: "quiet small" });

/** Have the browser save a file that is made of `parts`. */
export function save(file, parts, type) {
  const link = h("a", { href: URL.createObjectURL(new Blob(parts, { type })), download: file });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/** Lines to be copied into a terminal or a program. */
export function code(text, label) {
  return h("div", { class: "code" }, h("pre", { tabindex: "0", "aria-label": label }, text), copyButton(text));
}

/** A button with a menu of `items()`: `{label, symbol, act, href, download, danger, needs}`; asked each time it opens. */
export function menuButton(label, items, options = {}) {
  const menu = h("div", { class: "popover menu", popover: "auto", role: "menu" });
  const opener = symbolButton("more", label, null, { "aria-haspopup": "menu", ...options });
  opener.popoverTargetElement = menu;

  menu.addEventListener("beforetoggle", (event) => {
    if (event.newState !== "open") return;
    fill(menu, items().filter((item) => may(item.needs)).map(entry));
    lay();
  });
  window.addEventListener("scroll", () => menu.matches(":popover-open") && lay(), { passive: true });

  /** Below its button, or above it where there is no room. */
  function lay() {
    const place = opener.getBoundingClientRect();
    menu.style.right = `${Math.max(8, document.documentElement.clientWidth - place.right)}px`;
    const below = place.bottom + 4;
    const high = menu.childElementCount * 40 + 12;
    menu.style.top = `${below + high > window.innerHeight ? Math.max(8, place.top - 4 - high) : below}px`;
  }

  menu.addEventListener("toggle", (event) => event.newState === "open" && menu.firstElementChild?.focus());
  menu.addEventListener("keydown", (event) => {
    const all = [...menu.children];
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    all.at((all.indexOf(document.activeElement) + step) % all.length).focus();
  });

  function entry({ label: words, symbol, act, href, download, danger }) {
    const look = { class: danger ? "danger" : "", role: "menuitem" };
    if (href) return h("a", { ...look, href, download, click: () => menu.hidePopover() }, icon(symbol), words);
    const click = () => {
      menu.hidePopover();
      act();
    };
    return h("button", { ...look, type: "button", click }, icon(symbol), words);
  }
  return [opener, menu];
}

/** Tabs whose choice is in the URL's hash. Of `tabs`: `{id, label, panel, shown}`; `shown` is called when it comes up. */
export function tabs(label, all) {
  const list = h("div", { class: "tabs", role: "tablist", "aria-label": label });
  const marks = all.map(({ id, label: words }) =>
    h("button", {
      type: "button", class: "tab", role: "tab", id: `tab-${id}`, "aria-controls": `panel-${id}`,
      click: () => choose(id, true),
    }, words),
  );
  list.append(...marks);
  for (const { id, panel } of all) {
    panel.id = `panel-${id}`;
    panel.setAttribute("role", "tabpanel");
    panel.setAttribute("aria-labelledby", `tab-${id}`);
  }
  list.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const here = marks.indexOf(document.activeElement);
    const next = { Home: 0, End: all.length - 1 }[event.key] ?? (step && (here + step + all.length) % all.length);
    if (next === undefined) return;
    event.preventDefault();
    choose(all[next].id, true);
    marks[next].focus();
  });

  function choose(id, told) {
    const known = all.some((tab) => tab.id === id) ? id : all[0].id;
    all.forEach((tab, i) => {
      const on = tab.id === known;
      tab.panel.hidden = !on;
      marks[i].setAttribute("aria-selected", String(on));
      marks[i].tabIndex = on ? 0 : -1;
      if (on) tab.shown?.();
    });
    if (told) history.replaceState(history.state, "", `#${known}`);
  }
  window.addEventListener("hashchange", () => choose(location.hash.slice(1)));
  return [list, all.map((tab) => tab.panel), () => choose(location.hash.slice(1))];
}
