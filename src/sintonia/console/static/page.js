// What the server told this page: addresses, place, language and words.

const told = JSON.parse(document.getElementById("config").textContent);

export const { base, console: home, language, languages, project, location: place, page, needs, path, signsIn } = told;
export const icons = `${told.static}/icons.svg`;
export const parent = `projects/${project}/locations/${place}`;

const plural = new Intl.PluralRules(language);
const number = new Intl.NumberFormat(language);

/** The words of a key, with `{name}` replaced by values; `count` chooses between `key.one` and `key.other`. */
export function t(key, values = {}) {
  const words = told.words[key] ?? told.words[`${key}.${plural.select(values.count ?? 0)}`] ?? told.words[`${key}.other`];
  if (words === undefined) throw new Error(`no words for ${key}`);
  return words.replace(/\{(\w+)\}/g, (_, name) => {
    const value = values[name];
    return typeof value === "number" ? number.format(value) : String(value ?? "");
  });
}

export const hasWords = (key) => key in told.words;

/** The console's address of a resource or a list of this place, such as `tuningJobs/1`. */
export function pageOf(resource) {
  const name = resource.startsWith("projects/") ? resource : `${parent}/${resource}`;
  return `${home}/${encoded(name)}`;
}

/** The address at which a model or an endpoint is tested, and `beside` it another one. */
export function testOf(target, beside) {
  const short = (name) => (name.startsWith(`${parent}/`) ? name.slice(parent.length + 1) : name);
  return `${pageOf("chat")}?${new URLSearchParams({ target: short(target), ...(beside && { beside: short(beside) }) })}`;
}

/** A resource name as a part of a URL's path. */
export const encoded = (name) => name.split("/").map(encodeURIComponent).join("/");

export function remember(name, value) {
  document.cookie = `${name}=${encodeURIComponent(value)}; path=${base || "/"}; max-age=31536000; SameSite=Lax`;
}

export function forget(name) {
  document.cookie = `${name}=; path=${base || "/"}; max-age=0; SameSite=Lax`;
}

/** Show this page in another language from now on. */
export function changeLanguage(tag) {
  remember("sintonia_language", tag);
  const here = new URL(location.href);
  here.searchParams.delete("hl");
  location.replace(here);
  if (here.hash) location.reload();
}
