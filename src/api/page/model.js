// The state of the page: what the service has said last, and what follows from it for the lists.

import { ago } from "./dom.js";

/** How bad a state is: rows are sorted by it, and it names the colour. */
export const TONES = ["bad", "warn", "busy", "good", "idle"];

export const state = {
  session: null,
  cluster: null,
  machines: [],
  units: [],
  machinesByName: new Map(),
  machinesById: new Map(),
  unitsByName: new Map(),
  problems: null,
  applications: null,
  /** Newest first. */
  events: [],
  /** Set while the records may be out of date: since when. */
  staleSince: null,
  connection: { live: false, since: Date.now(), retryAt: null, why: null, ever: false },
  /** The service is another version than the page. */
  outdated: false,
};

export const operates = () => state.session?.role === "operate";

const HEALTH_TONES = { alive: "good", suspect: "warn", "path-fault": "warn", throttled: "warn", sick: "bad", "sshd-down": "bad", unreachable: "bad", down: "bad" };

export const healthTone = (health) => HEALTH_TONES[health] ?? "idle";
export const healthWord = (health) => (health ?? "not observed").replace("-", " ");

/** Says what a machine takes, if that is not everything. */
function scheduling(machine) {
  if (machine.draining) return "drained";
  if (machine.cordoned) return "cordoned";
  return machine.no_units_until && machine.no_units_until > Date.now() ? "takes no units for a while" : "";
}

/** The state of a unit as text, and how bad that is. */
function condition(unit, machines) {
  const [first] = unit.states;
  if (unit.desired === "inactive") return first ? as("busy", "unloading") : as("idle", "inactive");
  if (!first) {
    if (unit.global) return as("idle", "on no machine");
    return unit.target === undefined ? as("bad", "no machine") : as("busy", "waits for its machine");
  }
  const known = unit.states.filter((it) => machines[it.machine].is_current);
  if (known.length === 0) return as("warn", `was ${stateWord(first)}`);
  const worst = known.find((it) => !it.well) ?? known[0];
  const word = stateWord(worst);
  if (unit.desired === "loaded") {
    return known.some((it) => it.active === "active" || it.active === "deactivating") ? as("busy", word) : as("idle", word === "inactive (dead)" ? "loaded" : word);
  }
  if (known.every((it) => it.well)) return as("good", word === "active (running)" ? "running" : word);
  const isChanging = worst.job || ["activating", "deactivating", "reloading"].includes(worst.active);
  return as(isChanging ? "busy" : "bad", word);
}

const as = (tone, word) => ({ tone, word });

const stateWord = (it) => (it.job ? `${it.job} queued` : `${it.active} (${it.sub})`);

/** Takes the overview of the cluster. */
export function takeOverview(overview) {
  const { cluster, machines, units } = overview;
  state.cluster = cluster;
  for (const machine of machines) {
    machine.units = 0;
    machine.trouble = 0;
    machine.tone = healthTone(machine.health);
    machine.word = healthWord(machine.health);
    machine.scheduling = scheduling(machine);
    machine.meta = Object.entries(machine.metadata).map(([key, value]) => `${key}=${value}`).join(" ");
    machine.text = `${machine.name} ${machine.ip} ${machine.machine} ${machine.meta} ${machine.word} ${machine.scheduling} ${machine.os}`.toLowerCase();
  }
  for (const unit of units) {
    unit.states ??= [];
    const { tone, word } = condition(unit, machines);
    unit.tone = tone;
    unit.word = word;
    const indexes = new Set(unit.states.map((it) => it.machine));
    if (unit.target !== undefined) indexes.add(unit.target);
    for (const index of indexes) {
      machines[index].units += 1;
      if (tone === "bad") machines[index].trouble += 1;
    }
    const names = [...indexes].map((index) => machines[index].name);
    unit.place = names.length > 2 ? `${names.length} machines` : names.join(", ");
    unit.machine = names.length === 1 ? names[0] : null;
    unit.text = `${unit.unit} ${unit.word} ${unit.desired} ${names.length > 20 ? "" : names.join(" ")} ${unit.application ?? ""} ${unit.description ?? ""}`.toLowerCase();
  }
  state.machines = machines;
  state.units = units;
  state.machinesById = new Map(machines.map((it) => [it.machine, it]));
  state.machinesByName = new Map(machines.map((it) => [it.name, it]));
  state.unitsByName = new Map(units.map((it) => [it.unit, it]));
}

export const machineName = (id) => state.machinesById.get(id)?.name ?? `${id.slice(0, 8)}…`;

/** The age of what is shown about a machine. */
export function observed(machine) {
  if (machine.is_current) return "now";
  return machine.observed_at ? ago(machine.observed_at) : "never";
}

/** Returns the rows whose text has all words of a filter. */
export function matching(rows, filter, chip, chipOf) {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  return rows.filter((row) => (!chip || chipOf(row) === chip) && words.every((word) => row.text.includes(word)));
}

/** Sorts rows by a key: numbers and tones by size, texts by name with numbers in order. */
const collator = new Intl.Collator("en", { numeric: true });
export function sorted(rows, key, isDescending) {
  const direction = isDescending ? -1 : 1;
  const value = (row) => (key === "tone" ? TONES.indexOf(row.tone) : row[key] ?? "");
  const compare = (a, b) => {
    const [x, y] = [value(a), value(b)];
    if (x === y) return 0;
    return typeof x === "number" && typeof y === "number" ? x - y : collator.compare(x, y);
  };
  return rows.slice().sort((a, b) => direction * compare(a, b));
}

/** Takes new events, the oldest first. Returns those that were not known, the newest first. */
export function takeEvents(events, limit) {
  const known = new Set(state.events.slice(0, limit).map((event) => event.id));
  const fresh = events.filter((event) => !known.has(event.id)).reverse();
  state.events = [...fresh, ...state.events].slice(0, limit);
  return fresh;
}
