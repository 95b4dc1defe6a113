// Elements, texts and times. Texts of hosts and users become text nodes and never markup.

/** Makes an element. Properties that start with "on" are listeners; `class` and names with a hyphen are attributes. */
export function h(tag, properties, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else if (name === "data") Object.assign(element.dataset, value);
    else if (name.includes("-") || name === "role" || name === "for" || name === "list") element.setAttribute(name, value);
    else element[name] = value;
  }
  append(element, children);
  return element;
}

function append(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === undefined || child === null || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

/** Replaces the children of an element. */
export function fill(element, ...children) {
  element.replaceChildren();
  append(element, children);
}

/** Sets the text of an element if it differs, so that nothing is laid out again for nothing. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export const $ = (id) => document.getElementById(id);

const clockFormat = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const dateFormat = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const fullFormat = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });
const numberFormat = new Intl.NumberFormat("en");

/** Writes the time of day, after the date if that is not today. */
export function clock(millis) {
  const date = new Date(millis);
  const time = clockFormat.format(date);
  return date.toDateString() === new Date().toDateString() ? time : `${dateFormat.format(date)}, ${time}`;
}

export const number = (value) => numberFormat.format(value);

export const plural = (count, noun) => `${number(count)} ${noun}${count === 1 ? "" : "s"}`;

/** Writes how long ago something was. */
export function ago(millis, now = Date.now()) {
  const seconds = Math.max(0, Math.round((now - millis) / 1000));
  for (const [size, unit] of [[86400, "d"], [3600, "h"], [60, "min"]]) {
    if (seconds >= size) return `${Math.floor(seconds / size)} ${unit} ago`;
  }
  return seconds < 2 ? "now" : `${seconds} s ago`;
}

/** A time with its full form as a tooltip. */
export function time(millis, text = clock(millis)) {
  const date = new Date(millis);
  return h("time", { dateTime: date.toISOString(), title: fullFormat.format(date) }, text);
}

/** A dot and a word for a state. The word says all that the colour says. */
export const badge = (tone, word) => h("span", { class: `badge ${tone}` }, h("span", { class: "dot", "aria-hidden": "true" }), h("span", { class: "word" }, word));

/** A link to a view. */
export const link = (hash, ...children) => h("a", { href: hash }, ...children);

export const machineLink = (machine) => link(`#/machines/${encodeURIComponent(machine)}`, machine);
export const unitLink = (unit) => link(`#/units/${encodeURIComponent(unit)}`, unit);

/** Shows a message for a while, instead of the one before. */
export function toast(text, tone = "") {
  const element = h("div", { class: `toast ${tone}` }, text);
  $("toasts").replaceChildren(element);
  setTimeout(() => element.remove(), 6000);
}

/** Announces a text to screen readers, politely. */
export function announce(text) {
  $("live").textContent = text;
}
