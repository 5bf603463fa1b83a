// Values as they are written in programs: whatever they are, there they are data.

/**
 * A Python literal of a JSON value, over several lines where it is long. Of text, what cannot be seen (controls, marks
 * that turn the direction of writing) is escaped: a literal means what it looks like.
 */
export function inPython(value, indent = "") {
  if (value === undefined || value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value === "string") return JSON.stringify(value).replace(/[\p{C}\p{Zl}\p{Zp}]/gu, escaped);
  if (typeof value !== "object") return String(value);
  const inner = `${indent}    `;
  const [open, close] = Array.isArray(value) ? "[]" : "{}";
  const items = Array.isArray(value)
    ? value.map((item) => inPython(item, inner))
    : Object.entries(value).filter(([, item]) => item !== undefined).map(([key, item]) => `${inPython(key)}: ${inPython(item, inner)}`);
  return items.length ? `${open}\n${items.map((item) => `${inner}${item},\n`).join("")}${indent}${close}` : `${open}${close}`;
}

/** A word of a shell's command. */
export const inShell = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

function escaped(character) {
  const code = character.codePointAt(0).toString(16);
  return code.length > 4 ? `\\U${code.padStart(8, "0")}` : `\\u${code.padStart(4, "0")}`;
}
