// Signing in and out, in all tabs at once. The session is a cookie that no script can read; a token is never kept.

import { call, whenAsked } from "./api.js";
import { button, fill, h, icon } from "./dom.js";
import { me, meet } from "./me.js";
import { base, changeLanguage, forget, home, language, languages, t } from "./page.js";
import { toast } from "./parts.js";

// Whose drafts this tab keeps, and whose places the browser: nobody else shall see them.
const USER = "sintonia.user";
const tabs = new BroadcastChannel(`sintonia${base}`);
let begun = false;
let asking = null;
let answered = null;

/** Know who looks; asks them if need be. Nothing of a page may begin before. */
export async function know() {
  whenAsked(() => (asking ??= ask().finally(() => (asking = null))));
  await meet();
  keepFor(me.principal);
  begun = true;
  window.addEventListener("pageshow", (event) => event.persisted && location.reload());  // it may be another's browser by now
}

export async function signOut() {
  try {
    await call("DELETE", "/sintonia/v1/sessions/current", { asks: false });
  } catch (error) {
    if (error.status !== 401) return toast(error.message, "bad");  // it had ended before
  }
  tabs.postMessage("");
  leave();
}

/** Another tab has signed in as somebody, or out. */
tabs.addEventListener("message", ({ data: user }) => {
  if (!user) leave();
  else if (keepFor(user)) answered?.();
});

function leave() {
  begun = false;
  keepFor("");
  location.replace(`${home}/`);
}

/** Let go of what another user left here. False for a page that shows it already, which begins anew. */
function keepFor(user) {
  const others = (store) => ![null, user].includes(store.getItem(USER));
  if (others(localStorage)) {
    for (const key of Object.keys(localStorage)) if (key.startsWith("sintonia.")) localStorage.removeItem(key);
    forget("sintonia_place");
  }
  localStorage.setItem(USER, user);
  const anew = others(sessionStorage);
  if (anew) sessionStorage.clear();
  // What this page may still write while it goes is nobody's, and gone when the next one begins.
  sessionStorage.setItem(USER, anew && begun ? "" : user);
  if (anew && begun) location.reload();
  return !(anew && begun);
}

/** Ask who one is, over whatever page there is; it goes on where it was. */
function ask() {
  return new Promise((resolve) => {
    const title = document.title;
    const input = h("input", { class: "input", type: "password", name: "token", autocomplete: "current-password", required: true, autofocus: true, spellcheck: "false" });
    const problem = h("p", { class: "problem-line", role: "alert" });
    const go = h("button", { class: "button primary", type: "submit" }, t("signIn.go"));
    const others = languages.filter(([tag]) => tag !== language);
    const form = h("form", { class: "card padded stack" },
      h("div", { class: "brand" }, icon("mark"), "Sintonia"),
      h("div", {}, h("h1", { id: "sign-in" }, t("signIn.title")), h("p", { class: "muted" }, t(begun ? "signIn.again" : "signIn.text"))),
      h("label", { class: "field" }, h("span", { class: "label" }, t("signIn.token")), input, h("span", { class: "hint" }, t("signIn.hint"))),
      problem, go,
    );
    const dialog = h("dialog", { class: "sign-in", "aria-labelledby": "sign-in" }, form,
      h("div", { class: "row" }, others.map(([tag, name]) => button(name, () => changeLanguage(tag), { look: "quiet small", lang: tag }))));

    answered = () => {
      answered = null;
      document.title = title;
      dialog.close();
      dialog.remove();
      resolve();
    };
    dialog.addEventListener("close", () => answered && dialog.showModal());  // there is nothing behind it for now
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      go.disabled = true;
      fill(problem);
      try {
        const { principal } = await call("POST", "/sintonia/v1/sessions", { body: { token: input.value.trim() }, asks: false });
        await meet({ asks: false }).catch((error) => {
          throw error.status === 401 ? new Error(t("signIn.noCookie")) : error;
        });
        tabs.postMessage(principal);
        if (keepFor(principal)) answered?.();
      } catch (error) {
        problem.textContent = error.message;
        input.select();
      }
      go.disabled = false;
    });
    document.title = `${t("signIn.title")} · Sintonia`;
    document.body.append(dialog);
    dialog.showModal();
  });
}
