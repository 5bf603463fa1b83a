// The API tokens of a project, for its admins: who may sign in, and what with.

import { call, own } from "../api.js";
import { button, fill, h, main, say } from "../dom.js";
import { exactTime, since, time } from "../format.js";
import { idOf } from "../jobs.js";
import { me } from "../me.js";
import { project, t } from "../page.js";
import { code, confirm, copy, emptyState, errorState, loadingState, menuButton, toast } from "../parts.js";

const TOKENS = own(`projects/${project}/tokens`);
const ROLES = ["VIEWER", "TUNER", "ADMIN"];
const LOOKS = { valid: "good", expired: "wait", revoked: "" };
const DAYS = [30, 90, 365];
const DAY = 86400000;

const place = h("div", {}, loadingState(4));
const add = (look) => button(t("token.new"), create, { look, symbol: "plus", data: { needs: "ADMIN" } });
fill(main, h("div", { class: "head" }, h("h1", {}, t("nav.tokens")), h("div", { class: "actions" }, add("primary")), h("p", { class: "lead" }, t("token.lead"))), place);
show();

async function show() {
  try {
    const { tokens = [] } = await call("GET", TOKENS);
    if (!tokens.length) return fill(place, h("div", { class: "card" }, emptyState({ symbol: "key", title: t("token.none.title"), text: t("token.none.text"), more: [add("")] })));
    const names = Object.fromEntries(tokens.map((token) => [`token:${idOf(token.name)}`, token.displayName]));
    const column = (key) => h("th", { scope: "col" }, t(key));
    fill(place, h("div", { class: "card" }, h("div", { class: "table-box" }, h("table", { class: "responsive" },
      h("thead", {}, h("tr", {}, column("token.name"), column("token.role"), column("models.status"), column("models.created"), column("token.expires"), h("th", { scope: "col" }, h("span", { class: "visually-hidden" }, t("models.actions"))))),
      h("tbody", {}, tokens.map((token) => row(token, names[token.createdBy] ?? token.createdBy)))))));
  } catch (error) {
    fill(place, h("div", { class: "card" }, errorState(error, show)));
  }
}

const isOwn = (token) => me.principal === `token:${idOf(token.name)}`;

function row(token, who) {
  const cell = (label, options, ...children) => h("td", { data: { label: t(label) }, ...options }, h("div", {}, ...children));
  const menu = menuButton(t("models.actions"), () => [
    { label: t("token.copy"), symbol: "copy", act: () => copy(idOf(token.name)) },
    ...(token.state === "valid" ? [{ label: t("token.revoke"), symbol: "bin", danger: true, act: () => revoke(token) }] : []),
  ], { look: "quiet small" });
  return h("tr", {},
    h("td", { class: "title-cell" }, h("strong", {}, token.displayName), isOwn(token) && h("span", { class: "small muted" }, ` ${t("token.yours")}`), h("br"), h("code", { class: "small muted" }, idOf(token.name))),
    cell("token.role", {}, t(`access.${token.role.toLowerCase()}`)),
    cell("models.status", {}, h("span", { class: `chip ${LOOKS[token.state]}` }, t(`token.${token.state}`))),
    cell("models.created", { title: exactTime(token.createTime) }, since(token.createTime), h("br"), h("span", { class: "small muted" }, t("token.by", { who }))),
    cell("token.expires", token.expireTime ? { title: exactTime(token.expireTime) } : {}, token.expireTime ? time(token.expireTime) : t("token.never")),
    h("td", { class: "end menu-cell" }, menu));
}

async function revoke(token) {
  const text = t(isOwn(token) ? "token.revoke.own" : "token.revoke.text", { name: token.displayName });
  if (!(await confirm({ title: t("token.revoke.title"), text, yes: t("token.revoke") }))) return;
  try {
    await call("DELETE", own(token.name));
    toast(t("token.revoke.done"));
  } catch (error) {
    toast(error.message, "bad");
  }
  show();
}

function create() {
  const name = h("input", { class: "input", name: "name", required: true, maxlength: 128, autocomplete: "off", autofocus: true });
  const may = h("span", { class: "hint" });
  const role = h("select", { class: "input", change: tell }, ROLES.map((value) => h("option", { value }, t(`access.${value.toLowerCase()}`))));
  const days = h("select", { class: "input" }, DAYS.map((count) => h("option", { value: count, selected: count === 90 }, t("token.days", { count }))), h("option", { value: "" }, t("token.never")));
  const problem = h("p", { class: "problem-line", role: "alert" });
  const field = (key, ...parts) => h("label", { class: "field" }, h("span", { class: "label" }, t(key)), parts);
  const form = h("form", {},
    h("h2", { id: "new-token" }, t("token.new")),
    h("div", { class: "fields" }, field("token.name", name, h("span", { class: "hint" }, t("token.name.hint"))), field("token.role", role, may), field("token.expires", days), problem),
    h("div", { class: "answers" }, button(t("action.back"), () => dialog.close()), h("button", { class: "button primary", type: "submit" }, t("token.make"))));
  const dialog = h("dialog", { "aria-labelledby": "new-token", close: () => (dialog.remove(), show()) }, form);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const expireTime = days.value ? new Date(Date.now() + days.value * DAY).toISOString() : undefined;
    try {
      tellOnce(dialog, await call("POST", TOKENS, { body: { displayName: name.value.trim(), role: role.value, expireTime } }));
    } catch (error) {
      problem.textContent = error.message;
      name.focus();
    }
  });
  tell();
  document.body.append(dialog);
  dialog.showModal();

  function tell() {
    say(may, t(`access.${role.value.toLowerCase()}.may`));
  }
}

/** Nobody can show it again; so it goes by a button, and not by a click beside it or Escape. */
function tellOnce(dialog, made) {
  dialog.addEventListener("cancel", (event) => event.preventDefault());
  fill(dialog,
    h("h2", { id: "new-token" }, t("token.made", { name: made.displayName })),
    h("p", {}, t("token.once")),
    h("div", { class: "fields" }, code(made.token, t("signIn.token"))),
    h("div", { class: "answers" }, button(t("token.kept"), () => dialog.close(), { look: "primary" })));
  dialog.querySelector(".code .button").focus();
}
