// Numbers, times and sizes as people of the page's language write them.

import { language } from "./page.js";

const whole = new Intl.NumberFormat(language, { maximumFractionDigits: 0 });
const some = new Intl.NumberFormat(language, { maximumSignificantDigits: 4 });
const measured = new Intl.NumberFormat(language, { minimumSignificantDigits: 4, maximumSignificantDigits: 4 });
const share = new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 1 });
const moment = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });
const exact = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "medium" });
const ago = new Intl.RelativeTimeFormat(language, { numeric: "auto" });

export const count = (value) => whole.format(Number(value));
export const decimal = (value) => some.format(Number(value));
/** A number that was measured, always as exact. */
export const measure = (value) => measured.format(Number(value));
export const percent = (value) => share.format(Number(value));
export const time = (value) => moment.format(new Date(value));
export const exactTime = (value) => exact.format(new Date(value));

/** `5 minutes ago` within a day, the date else. */
export function since(value) {
  const seconds = (new Date(value) - Date.now()) / 1000;
  if (seconds < -86400) return time(value);
  if (seconds > -60) return ago.format(0, "second");
  return seconds > -3600 ? ago.format(Math.round(seconds / 60), "minute") : ago.format(Math.round(seconds / 3600), "hour");
}

const unit = (name) => new Intl.NumberFormat(language, { style: "unit", unit: name, unitDisplay: "narrow" });
const units = { hour: unit("hour"), minute: unit("minute"), second: unit("second") };

/** A span of seconds by its two largest units: `3m 51s`. */
export function duration(seconds) {
  const all = Math.max(0, Math.round(seconds));
  const [hours, minutes, rest] = [Math.floor(all / 3600), Math.floor((all % 3600) / 60), all % 60];
  if (hours) return `${units.hour.format(hours)} ${units.minute.format(minutes)}`;
  if (minutes) return `${units.minute.format(minutes)} ${units.second.format(rest)}`;
  return units.second.format(rest);
}

const moments = new Intl.NumberFormat(language, { style: "unit", unit: "second", unitDisplay: "narrow", maximumFractionDigits: 2 });

/** A short span of seconds, told in hundredths: `0.42s`. */
export const instant = (seconds) => moments.format(seconds);

const SIZES = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"];

export function size(bytes) {
  let value = Number(bytes);
  let step = 0;
  for (; value >= 1000 && step < SIZES.length - 1; step += 1) value /= 1000;
  const style = { style: "unit", unit: SIZES[step], unitDisplay: step ? "short" : "long", maximumSignificantDigits: 3 };
  return new Intl.NumberFormat(language, style).format(value);
}
