// The catalog: which models may be tuned here.

import { call } from "../api.js";
import { fill, h, main } from "../dom.js";
import { count } from "../format.js";
import { t, testOf } from "../page.js";
import { emptyState, errorState, loadingState } from "../parts.js";

const place = h("div", {}, loadingState(4));
fill(main, h("div", { class: "head" }, h("h1", {}, t("nav.baseModels")), h("p", { class: "lead" }, t("base.lead"))), place);
look();

async function look() {
  try {
    const { baseModels = [] } = await call("GET", "/sintonia/v1/baseModels");
    if (baseModels.length) fill(place, h("div", { class: "catalog" }, baseModels.map(card)));
    else fill(place, h("div", { class: "card" }, emptyState({ symbol: "base", title: t("base.none.title"), text: t("base.none.text") })));
  } catch (error) {
    fill(place, h("div", { class: "card" }, errorState(error, look)));
  }
}

function card(model) {
  const facts = [
    ["base.license", model.license],
    ["base.modalities", (model.modalities ?? []).join(", ")],
    ["base.context", model.contextLength && t("base.tokens", { count: model.contextLength })],
    ["base.adapters", (model.adapterSizes ?? []).map((size) => (size === model.defaultAdapterSize ? t("base.recommended", { size }) : String(size))).join(", ")],
    ["base.source", model.source],
    ["base.provenance", model.provenance],
  ].filter(([, value]) => value);
  return h("article", { class: "card padded stack tight" },
    h("div", { class: "row tight" }, h("div", { class: "row grow" }, h("h2", {}, model.displayName || model.id), model.stage && h("span", { class: "chip plain" }, model.stage),
      h("span", { class: `chip ${model.prepared ? "good" : "wait"}` }, t(model.prepared ? "base.here" : "base.away"))),
      model.prepared && h("a", { class: "button small", href: testOf(`publishers/google/models/${model.id}`), "aria-label": t("base.test", { name: model.displayName || model.id }) }, t("action.test"))),
    h("code", { class: "muted" }, model.id),
    model.aliases?.length ? h("p", { class: "small" }, t("base.aliases"), " ", model.aliases.map((alias, i) => [i ? ", " : "", h("code", {}, alias)])) : null,
    h("dl", { class: "details" }, facts.map(([key, value]) => h("div", {}, h("dt", {}, t(key)), h("dd", {}, value)))),
    !model.prepared && h("p", { class: "small muted" }, t("base.pull"), " ", h("code", {}, `sintonia base-models pull ${model.id}`)),
  );
}
