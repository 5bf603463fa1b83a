// An address at which there is nothing.

import { fill, h, main } from "../dom.js";
import { home, t } from "../page.js";
import { emptyState } from "../parts.js";

fill(main, h("h1", { class: "visually-hidden" }, t("lost.title")), emptyState({
  symbol: "search", title: t("lost.title"), text: t("lost.text"),
  more: [h("a", { class: "button", href: `${home}/` }, t("lost.home"))],
}));
