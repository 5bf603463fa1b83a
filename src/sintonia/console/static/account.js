// Who is signed in, what they may do here, and the way out.

import { button, fill, h } from "./dom.js";
import { me, role } from "./me.js";
import { project, t } from "./page.js";
import { signOut } from "./sign_in.js";

export function showAccount() {
  const known = role()?.toLowerCase();
  fill(
    document.getElementById("account"),
    h("div", {}, h("strong", {}, me.displayName ?? me.principal), h("br"), h("code", { class: "small muted" }, me.principal)),
    known && h("div", { class: "stack tight" },
      h("div", {}, h("span", { class: "chip plain" }, t(`access.${known}`)), " ", h("span", { class: "small" }, t("account.in", { project }))),
      h("p", { class: "small muted" }, t(`access.${known}.text`))),
    button(t("account.signOut"), signOut, { symbol: "leave" }),
  );
  // Why there are fewer buttons than others see.
  if (known === "viewer") fill(document.getElementById("role"), h("span", { class: "chip plain", title: t("access.viewer.text") }, t("access.viewer")));
}
