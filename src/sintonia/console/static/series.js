// Metric series as columns, and how they grow.

import { upTo } from "./chart.js";

/**
 * Take in what was told of the steps behind `whatFollows`: points from the first told step on are replaced.
 * Answers whether there are more points than before.
 */
export function grow(known, told) {
  const before = points(known);
  for (const [name, { steps, values }] of Object.entries(told)) {
    const series = (known[name] ??= { steps: [], values: [] });
    const kept = upTo(series.steps, steps[0] - 1) + 1;
    series.steps.splice(kept, Infinity, ...steps);
    series.values.splice(kept, Infinity, ...values);
  }
  return points(known) !== before;
}

const points = (known) => Object.values(known).reduce((sum, { steps }) => sum + steps.length, 0);

/**
 * The step to ask behind next time; undefined for all. One before the last: the validation of a step is told after its
 * training, but before the next step is.
 */
export function whatFollows(known) {
  const ends = Object.values(known).map(({ steps }) => steps.at(-1)).filter((step) => step !== undefined);
  return ends.length ? Math.max(...ends) - 1 : undefined;
}
