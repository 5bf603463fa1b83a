// How a number spreads over the rows of a dataset: bars in SVG.

import { h, svg } from "./dom.js";
import { count, decimal } from "./format.js";
import { t } from "./page.js";

const [WIDE, TALL, FOOT] = [320, 120, 18];

/** A figure of a DatasetDistribution of the API. */
export function histogram(title, hint, distribution) {
  const buckets = (distribution.buckets ?? []).map(({ count: rows = 0, left = 0, right = 0 }) => ({ rows, left, right }));
  const most = Math.max(1, ...buckets.map(({ rows }) => rows));
  const step = WIDE / Math.max(1, buckets.length);
  const bars = buckets.map(({ rows, left, right }, i) => {
    const high = rows ? Math.max(2, (rows / most) * (TALL - FOOT - 6)) : 0;
    const words = svg("title");
    words.textContent = t("histogram.bar", { from: left, to: Math.max(left, right - 1), rows });
    return svg("g", { class: "bar-slot" }, words,
      svg("rect", { class: "slot", x: i * step, y: 0, width: step, height: TALL - FOOT }),
      svg("rect", { class: "column", x: i * step + 1.5, y: TALL - FOOT - high, width: Math.max(1, step - 3), height: high, rx: 2 }),
    );
  });
  const end = (x, value, anchor) => {
    const text = svg("text", { class: "tick", x, y: TALL - 3, "text-anchor": anchor });
    text.textContent = count(value);
    return text;
  };
  const numbers = ["min", "median", "mean", "p95", "max", "sum"].map((name) =>
    h("div", {}, h("dt", {}, t(`histogram.${name}`)), h("dd", { class: "number" }, decimal(distribution[name] ?? 0))));
  return h("figure", { class: "card padded histogram" },
    h("figcaption", {}, h("h3", {}, title), h("p", { class: "small muted" }, hint)),
    svg("svg", { viewBox: `0 0 ${WIDE} ${TALL}`, role: "img", "aria-label": t("histogram.label", { title, low: distribution.min ?? 0, high: distribution.max ?? 0, middle: distribution.median ?? 0 }) },
      bars,
      svg("line", { class: "axis", x1: 0, x2: WIDE, y1: TALL - FOOT, y2: TALL - FOOT }),
      end(0, distribution.min ?? 0, "start"), end(WIDE, distribution.max ?? 0, "end")),
    h("dl", { class: "mini-facts" }, numbers),
  );
}
