// Who looks at this page, and what they may do in its project. Where nobody signs in, everybody may do everything.

import { call } from "./api.js";
import { project } from "./page.js";

const ROLES = ["VIEWER", "TUNER", "ADMIN"];
const EVERY = "*";

export let me = { principal: "", grants: { [EVERY]: "ADMIN" } };

/** Ask the server; this comes before anything else is asked. */
export async function meet(options) {
  me = { grants: {}, ...(await call("GET", "/sintonia/v1/me", options)) };
  // By this, style sheets leave out what `data-needs` another role.
  document.documentElement.dataset.role = role() ?? "";
}

/** The role in this page's project; undefined for none. */
export const role = () => ROLES.findLast((name) => [me.grants[project], me.grants[EVERY]].includes(name));

export const may = (needed) => !needed || ROLES.indexOf(role()) >= ROLES.indexOf(needed);

/** The projects that one has a role in, by name; and whether it is all that can be. */
export const projects = () => Object.keys(me.grants).filter((name) => name !== EVERY).sort();
export const seesAll = () => EVERY in me.grants;
