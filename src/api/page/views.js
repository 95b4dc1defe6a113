// The views: lists of machines, units, applications, problems and events, and the question what would follow if machines died.

import { badge, clock, fill, h, number, plural, setText, time } from "./dom.js";
import { Grid } from "./grid.js";
import { TONES, machineName, matching, observed, sorted, state } from "./model.js";
import { getJson } from "./client.js";
import { planParts } from "./actions.js";

/** How long to wait after a key in the filter. */
const FILTER_DELAY = 60;

/** A view that is a list with a filter. */
class List {
  #timer;
  #chipElements = new Map();

  constructor({ id, title, noun, columns, keyOf, open, rows, chips, sort, empty, hash }) {
    Object.assign(this, { id, title, noun, rows, chips, sort, open, hash });
    this.filter = "";
    this.chip = null;
    this.count = h("span", { class: "count", "aria-live": "off" });
    this.input = h("input", { type: "search", id: `${id}-filter`, placeholder: "Filter", autocomplete: "off", spellcheck: false, "aria-label": `Filter ${title.toLowerCase()}`, "aria-keyshortcuts": "/",
      oninput: () => {
        clearTimeout(this.#timer);
        this.#timer = setTimeout(() => this.#filterChanged(), FILTER_DELAY);
      },
      onkeydown: (event) => {
        if (event.key === "ArrowDown" || event.key === "Enter") {
          this.#filterChanged();
          this.grid.element.focus();
          this.grid.activate(0);
          event.preventDefault();
        }
      } });
    this.chipBar = h("div", { class: "chips", role: "group", "aria-label": "Filter by state" });
    this.grid = new Grid({ id, label: title, columns, keyOf, sort, empty, onopen: (row) => this.open(row), onsort: (key, descending) => {
      this.sort = { key, descending };
      this.update();
    } });
    this.element = h("section", { class: "view", "aria-labelledby": `${id}-title` },
      h("div", { class: "toolbar" },
        h("h1", { id: `${id}-title` }, title, " ", this.count),
        h("div", { class: "search" }, this.input, h("kbd", { "aria-hidden": "true" }, "/"))),
      this.chipBar,
      this.grid.element);
  }

  #filterChanged() {
    clearTimeout(this.#timer);
    if (this.input.value === this.filter) return;
    this.filter = this.input.value;
    this.grid.element.scrollTop = 0;
    this.#remember();
    this.update();
  }

  /** Keeps the filter in the address, so that a link shows the same list. */
  #remember() {
    const query = new URLSearchParams();
    if (this.filter) query.set("q", this.filter);
    if (this.chip) query.set("state", this.chip);
    const text = query.toString();
    history.replaceState(null, "", `${location.hash.split("?")[0]}${text ? `?${text}` : ""}`);
  }

  /** Takes the filter of an address. */
  route(query) {
    this.filter = query.get("q") ?? "";
    this.chip = query.get("state");
    if (this.input.value !== this.filter) this.input.value = this.filter;
  }

  query() {
    return location.hash.split("?")[1] ? `?${location.hash.split("?")[1]}` : "";
  }

  #showChips(all) {
    const counts = new Map();
    for (const row of all) {
      const chip = this.chips.of(row);
      if (!counts.has(chip)) counts.set(chip, { count: 0, tone: row.tone });
      counts.get(chip).count += 1;
    }
    const names = [...counts.keys()].sort((a, b) => TONES.indexOf(counts.get(a).tone) - TONES.indexOf(counts.get(b).tone) || counts.get(b).count - counts.get(a).count).slice(0, 9);
    if (this.chip && !names.includes(this.chip)) names.push(this.chip);
    for (const [name, element] of this.#chipElements) {
      if (!names.includes(name)) {
        element.remove();
        this.#chipElements.delete(name);
      }
    }
    names.forEach((name, index) => {
      if (!this.#chipElements.has(name)) {
        const element = h("button", { type: "button", class: "chip", onclick: () => {
          this.chip = this.chip === name ? null : name;
          this.grid.element.scrollTop = 0;
          this.#remember();
          this.update();
        } }, h("span", { class: "dot", "aria-hidden": "true" }), h("span", {}, name), h("span", { class: "chip-count" }));
        this.#chipElements.set(name, element);
      }
      const element = this.#chipElements.get(name);
      const { count, tone } = counts.get(name) ?? { count: 0, tone: "idle" };
      element.className = `chip ${tone}`;
      element.setAttribute("aria-pressed", this.chip === name);
      setText(element.lastChild, number(count));
      if (this.chipBar.children[index] !== element) this.chipBar.insertBefore(element, this.chipBar.children[index] ?? null);
    });
  }

  update() {
    const all = this.rows();
    if (this.chips) this.#showChips(all);
    const filtered = matching(all, this.filter, this.chips ? this.chip : null, this.chips?.of);
    setText(this.count, filtered.length === all.length ? number(all.length) : `${number(filtered.length)} of ${number(all.length)}`);
    this.grid.setRows(this.sort ? sorted(filtered, this.sort.key, this.sort.descending) : filtered);
  }
}

const strong = (text) => h("span", { class: "name" }, text);

export function machinesView(go) {
  return new List({
    id: "machines", title: "Machines", hash: "machines",
    empty: "No machine matches.",
    rows: () => state.machines,
    keyOf: (row) => row.name,
    chips: { of: (row) => row.word },
    sort: { key: "name", descending: false },
    open: (row) => go("machines", row.name),
    columns: [
      { title: "Machine", sort: "name", size: "minmax(9rem, 1.2fr)", class: "main", cell: (row) => strong(row.name) },
      { title: "Health", sort: "tone", size: "7.5rem", class: "state", cell: (row) => badge(row.tone, row.word) },
      { title: "Evidence", sort: "evidence", size: "minmax(9rem, 2fr)", class: "soft", cell: (row) => row.evidence ?? "not observed yet" },
      { title: "Units", sort: "units", size: "5.5rem", class: "num", cell: (row) => unitCount(row) },
      { title: "Scheduling", sort: "scheduling", size: "7rem", class: "wide", cell: (row) => (row.scheduling ? h("span", { class: "tag" }, row.scheduling) : "") },
      { title: "Metadata", sort: "meta", size: "minmax(7rem, 1.3fr)", class: "soft wide", cell: (row) => row.meta },
      { title: "IP", sort: "ip", size: "8.5rem", class: "soft mono wide", cell: (row) => row.ip },
      { title: "Observed", sort: "observed_at", size: "6rem", class: "soft wide", cell: (row) => observed(row) },
    ],
  });
}

function unitCount(row) {
  if (row.trouble === 0) return number(row.units);
  return h("span", {}, h("span", { class: "trouble", title: `${plural(row.trouble, "unit")} not as desired` }, `${number(row.trouble)} of `), number(row.units));
}

export function unitsView(go) {
  return new List({
    id: "units", title: "Units", hash: "units",
    empty: "No unit matches.",
    rows: () => state.units,
    keyOf: (row) => row.unit,
    chips: { of: (row) => row.word },
    sort: { key: "unit", descending: false },
    open: (row) => go("units", row.unit),
    columns: [
      { title: "Unit", sort: "unit", size: "minmax(11rem, 1.4fr)", class: "main", cell: (row) => strong(row.unit) },
      { title: "State", sort: "tone", size: "10rem", class: "state", cell: (row) => badge(row.tone, row.word) },
      { title: "Desired", sort: "desired", size: "6rem", class: "soft wide", cell: (row) => row.desired },
      { title: "Machine", sort: "place", size: "minmax(7rem, 1fr)", class: "second", cell: (row) => (row.global ? `${row.place || "none"}, global` : row.place) },
      { title: "Application", sort: "application", size: "minmax(6rem, .8fr)", class: "soft wide", cell: (row) => row.application ?? "" },
      { title: "Description", sort: "description", size: "minmax(8rem, 1.5fr)", class: "soft wide", cell: (row) => row.description ?? "" },
    ],
  });
}

export function applicationsView() {
  const view = new List({
    id: "applications", title: "Applications", hash: "applications",
    empty: "There is no application. `muster apply FOLDER` makes one.",
    rows: () => (state.applications ?? []).map(application),
    keyOf: (row) => row.application,
    sort: { key: "application", descending: false },
    open: (row) => { location.hash = `#/units?q=${encodeURIComponent(row.application)}`; },
    columns: [
      { title: "Application", sort: "application", size: "minmax(9rem, 1fr)", class: "main", cell: (row) => strong(row.application) },
      { title: "Running", sort: "tone", size: "8rem", class: "state", cell: (row) => badge(row.tone, `${number(row.well.length)} of ${number(row.wanted.length)}`) },
      { title: "Machines", sort: "place", size: "minmax(8rem, 1.2fr)", class: "second", cell: (row) => row.place },
      { title: "Not running", sort: "missing", size: "minmax(8rem, 1.5fr)", class: "soft wide", cell: (row) => row.missing },
    ],
  });
  view.load = async () => { state.applications = await getJson("applications"); };
  return view;
}

function application(row) {
  const well = new Set(row.well);
  const missing = row.wanted.filter((unit) => !well.has(unit)).join(", ");
  const place = row.machines.length > 4 ? plural(row.machines.length, "machine") : row.machines.join(", ");
  const tone = missing ? "bad" : row.wanted.length ? "good" : "idle";
  return { ...row, missing, place, tone, text: `${row.application} ${place} ${missing}`.toLowerCase() };
}

export function problemsView(go) {
  return new List({
    id: "problems", title: "Problems", hash: "problems",
    empty: "All is as desired.",
    rows: () => (state.problems ?? []).map((it) => problem(it)),
    keyOf: (row) => row.key,
    open: (row) => (row.unit ? go("units", row.unit) : row.name && go("machines", row.name)),
    columns: [
      { title: "About", size: "minmax(9rem, 1fr)", class: "main", cell: (row) => strong(row.about) },
      { title: "Machine", size: "minmax(6rem, .6fr)", class: "second wide", cell: (row) => row.name ?? "" },
      { title: "Problem", size: "minmax(12rem, 3fr)", class: "soft", cell: (row) => row.what },
    ],
  });
}

function problem(it) {
  const name = it.machine ? machineName(it.machine) : null;
  const about = it.unit ?? name ?? "the cluster";
  return { ...it, name, about, key: `${it.machine ?? ""} ${it.unit ?? ""} ${it.kind}`, tone: "bad", text: `${about} ${name ?? ""} ${it.what}`.toLowerCase() };
}

export function eventsView(go) {
  return new List({
    id: "events", title: "Events", hash: "events",
    empty: "No event matches.",
    rows: () => state.events.map(event),
    keyOf: (row) => row.id,
    chips: { of: (row) => (row.tone === "bad" ? "trouble" : row.tone === "busy" ? "asked for" : "other") },
    open: (row) => (row.unit ? go("units", row.unit) : row.machineName && go("machines", row.machineName)),
    columns: [
      { title: "Time", size: "8rem", class: "soft second", cell: (row) => time(row.at) },
      { title: "About", size: "minmax(10rem, 1fr)", class: "main", cell: (row) => strong(row.about) },
      { title: "Machine", size: "minmax(6rem, .5fr)", class: "soft wide", cell: (row) => (row.unit ? row.machineName : "") },
      { title: "Event", size: "minmax(12rem, 3fr)", class: "state", cell: (row) => badge(row.tone, row.label) },
    ],
  });
}

function event(it) {
  const asked = it.kind === "unit_requested" || it.kind === "machine_requested";
  const tone = it.gap ? "warn" : it.trouble ? "bad" : asked ? "busy" : "idle";
  const { unit = "", machine } = it.subject;
  // The names of machines may come after their events.
  const name = machine ? machineName(machine) : "";
  const about = unit || name || "cluster";
  return { id: it.id, at: it.at, unit, machineName: name, about, tone, label: it.text, text: `${about} ${name} ${it.text}`.toLowerCase() };
}

/** What would follow if machines died. */
export class WhatIf {
  constructor() {
    this.id = "what-if";
    this.chosen = [];
    this.input = h("input", { id: "what-if-machine", list: "what-if-machines", placeholder: "Name of a machine", autocomplete: "off", spellcheck: false,
      onkeydown: (event) => { if (event.key === "Enter") { event.preventDefault(); this.#add(this.input.value.trim()); } } });
    this.options = h("datalist", { id: "what-if-machines" });
    this.list = h("ul", { class: "chosen", "aria-label": "Machines that would die" });
    this.result = h("div", { class: "result", "aria-live": "polite" });
    this.element = h("section", { class: "view scrolls", "aria-labelledby": "what-if-title" },
      h("div", { class: "toolbar" }, h("h1", { id: "what-if-title" }, "What if a machine died?")),
      h("p", { class: "lead" }, "Choose machines. The answer shows what the leader would do if all of them died now. Nothing is changed."),
      h("div", { class: "what-if-form" }, h("label", { for: "what-if-machine" }, "Machine"), this.input, this.options,
        h("button", { type: "button", class: "primary", onclick: () => this.#add(this.input.value.trim()) }, "Add")),
      this.list, this.result);
  }

  route(query) {
    const chosen = query.getAll("down");
    if (chosen.join() !== this.chosen.join() || chosen.length === 0) {
      this.chosen = chosen;
      this.#ask();
    }
  }

  update() {
    const names = state.machines.map((it) => it.name).join();
    if (this.names !== names) {
      this.names = names;
      fill(this.options, state.machines.map((it) => h("option", { value: it.name })));
    }
  }

  #add(name) {
    if (!name) return;
    if (!this.chosen.includes(name)) this.#go([...this.chosen, name]);
    this.input.value = "";
    this.input.focus();
  }

  #go(names) {
    const query = names.map((name) => `down=${encodeURIComponent(name)}`).join("&");
    location.hash = `#/what-if${query ? `?${query}` : ""}`;
  }

  async #ask() {
    const asked = this.chosen;
    fill(this.list, asked.map((name) => h("li", {}, name, h("button", { type: "button", class: "remove", "aria-label": `Remove ${name}`, onclick: () => this.#go(asked.filter((it) => it !== name)) }, "×"))));
    if (asked.length === 0) return fill(this.result);
    fill(this.result, h("p", { class: "soft" }, "Simulating…"));
    let parts;
    try {
      const answer = await getJson(`simulate?${asked.map((name) => `down=${encodeURIComponent(name)}`).join("&")}`);
      parts = [this.#summary(answer, asked), planParts(answer)];
    } catch (error) {
      parts = h("p", { class: "error", role: "alert" }, error.message);
    }
    if (this.chosen === asked) fill(this.result, parts);
  }

  #summary(answer, asked) {
    const who = asked.length === 1 ? asked[0] : plural(asked.length, "machine");
    const moved = answer.moves.filter((it) => it.to).length;
    const lost = answer.unschedulable.length;
    return h("p", { class: "summary" }, `If ${who} died, ${moved ? `${plural(moved, "unit")} would start elsewhere` : "no unit would move"}`,
      lost ? h("strong", { class: "bad-text" }, ` and ${plural(lost, "unit")} would have no machine`) : "", ".");
  }
}

/** The lines that follow each other in a panel. */
export const facts = (rows) => h("dl", { class: "facts" }, rows.filter((row) => row && row[1] !== null && row[1] !== undefined && row[1] !== "").map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));

/** Events as a short list. */
export const eventList = (events) => h("ol", { class: "event-list" }, events.slice().reverse().map((it) => h("li", {}, time(it.at, clock(it.at)), h("span", { class: it.trouble ? "bad-text" : "" }, it.text))));

