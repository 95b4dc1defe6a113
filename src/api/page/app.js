// The page: routes, the live connection, the keyboard and the messages about both.

import { $, announce, clock, fill, h, number, plural, setText, toast } from "./dom.js";
import { EVENTS, Refused, Stream, exchange, getJson, token, whenStale } from "./client.js";
import { MachinePanel, UnitPanel, showPanel } from "./details.js";
import { WhatIf, applicationsView, eventsView, machinesView, problemsView, unitsView } from "./views.js";
import { machineName, state, takeEvents, takeOverview } from "./model.js";

/** How many events are kept. */
const EVENTS_KEPT = 4 * EVENTS;
/** How long to wait between two times that the lists are asked for, at least; and how many times as long as asking took. */
const REFRESH_INTERVAL = 300;
const REFRESH_SHARE = 5;
/** How often ages are written again while nothing happens. */
const AGES_INTERVAL = 30_000;
/** How long a window may be hidden before it closes its connection. */
const PAUSE_AFTER = 60_000;
/** How often events are announced at most. */
const ANNOUNCE_INTERVAL = 3000;

const ICONS = {
  machines: "M3 3h10v4H3zM3 9h10v4H3zM5.5 5h.01M5.5 11h.01",
  units: "M8 2l5.5 3v6L8 14l-5.5-3V5zM2.5 5L8 8l5.5-3M8 8v6",
  applications: "M3 3h4v4H3zM9 3h4v4H9zM3 9h4v4H3zM9 9h4v4H9z",
  problems: "M8 2.5l6 11H2zM8 6.5v3M8 11.5h.01",
  events: "M2 8h3l2-5 2.5 10L11.5 8H14",
  "what-if": "M4 13V8a4 4 0 0 1 4-4h5M10.5 1.5L13 4l-2.5 2.5M4 13h.01",
};

const go = (view, name) => {
  const query = location.hash.split("?")[1];
  location.hash = `#/${view}/${encodeURIComponent(name)}${route().view === view && query ? `?${query}` : ""}`;
};

const VIEWS = {
  machines: machinesView(go),
  units: unitsView(go),
  applications: applicationsView(),
  problems: problemsView(go),
  events: eventsView(go),
  "what-if": new WhatIf(),
};
const TITLES = { machines: "Machines", units: "Units", applications: "Applications", problems: "Problems", events: "Events", "what-if": "What if" };
const KEYS = { m: "machines", u: "units", a: "applications", p: "problems", e: "events", w: "what-if" };

let view = null;
let panel = null;
let stream = null;

// Routes

function route() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  const [name, subject] = path.split("/");
  return { view: name in VIEWS ? name : "machines", subject: subject ? decodeURIComponent(subject) : null, query: new URLSearchParams(query) };
}

function show() {
  const { view: name, subject, query } = route();
  const next = VIEWS[name];
  if (view !== next) {
    view = next;
    fill($("content"), view.element);
    for (const item of document.querySelectorAll("#nav a")) {
      if (item.dataset.view === name) item.setAttribute("aria-current", "page");
      else item.removeAttribute("aria-current");
    }
    load();
  }
  document.title = `${subject ?? TITLES[name]} · muster`;
  view.route?.(query);
  view.update();
  showSubject(name, subject);
}

function showSubject(name, subject) {
  const kind = subject === null ? null : name;
  if (panel?.kind !== kind || panel?.name !== subject) {
    const hadFocus = $("details").contains(document.activeElement);
    panel = kind === "machines" ? new MachinePanel(subject, close) : kind === "units" ? new UnitPanel(subject, close) : null;
    showPanel(panel);
    if (panel === null && hadFocus) view.grid?.element.focus();
  }
  view.grid?.mark(panel?.name ?? null);
  if (state.cluster) panel?.update();
}

function close() {
  const query = location.hash.split("?")[1];
  location.hash = `#/${route().view}${query ? `?${query}` : ""}`;
}

function makeNav() {
  const icon = (path) => {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", "0 0 16 16");
    svg.setAttribute("aria-hidden", "true");
    const shape = document.createElementNS("http://www.w3.org/2000/svg", "path");
    shape.setAttribute("d", path);
    svg.append(shape);
    return svg;
  };
  fill($("nav"), Object.keys(VIEWS).map((name) => h("a", { href: `#/${name}`, data: { view: name } }, icon(ICONS[name]), h("span", {}, TITLES[name]), h("span", { class: "nav-count", id: `count-${name}` }))));
}

function showCounts() {
  const counts = { machines: state.machines.length, units: state.units.length, problems: state.problems?.length };
  for (const [name, count] of Object.entries(counts)) setText($(`count-${name}`), count === undefined ? "" : number(count));
  $("count-problems").classList.toggle("bad", counts.problems > 0);
}

// What the service says

let wanted = null;
let loaded = null;
let isRefreshing = false;
let refreshedAt = -Infinity;
let cost = 0;
let timer = null;

/** Asks for the lists soon: at once if that was long ago. */
function refreshSoon() {
  if (timer !== null || isRefreshing || document.hidden) return;
  const wait = Math.max(0, refreshedAt + Math.max(REFRESH_INTERVAL, REFRESH_SHARE * cost) - performance.now());
  timer = setTimeout(() => {
    timer = null;
    refresh();
  }, wait);
}

async function refresh() {
  if (isRefreshing) return;
  isRefreshing = true;
  const began = performance.now();
  try {
    const overview = await getJson("overview");
    loaded = overview.cluster.revision;
    takeOverview(overview);
    showCluster();
    view.update();
    panel?.update();
    if (performance.getEntriesByName("rows").length === 0) performance.mark("rows");
    load();
    loadProblems();
  } catch (error) {
    failed(error);
  } finally {
    isRefreshing = false;
    refreshedAt = performance.now();
    cost = refreshedAt - began;
  }
  if (wanted !== null && wanted !== loaded && state.connection.live) refreshSoon();
}

/** Asks for what only the view in sight shows. */
async function load() {
  const shown = view;
  if (!shown.load || !state.cluster) return;
  try {
    await shown.load();
    if (view === shown) view.update();
  } catch (error) {
    failed(error);
  }
}

let isLoadingProblems = false;
async function loadProblems() {
  if (isLoadingProblems) return;
  isLoadingProblems = true;
  try {
    state.problems = await getJson("problems");
    showCounts();
    if (view === VIEWS.problems) view.update();
  } catch (error) {
    failed(error);
  } finally {
    isLoadingProblems = false;
  }
}

function failed(error) {
  if (error instanceof Refused && error.status === 401) return signIn(error.message);
  // A connection that is lost is shown as such by the stream.
  if (error instanceof Refused && error.status !== 503) toast(error.message, "bad");
  if (error instanceof Refused && !state.cluster) setTimeout(refreshSoon, 1000);
}

async function learnSession() {
  const session = await getJson("session");
  if (state.session && session.version !== state.session.version) {
    state.outdated = true;
    showBanners();
  }
  const isOther = session.role !== state.session?.role;
  state.session = session;
  setText($("caller"), `${session.name.replace(/ \(API\)$/, "")}, ${session.role === "operate" ? "may operate" : "may read"}`);
  if (isOther) panel?.update();
}

function showCluster() {
  const { name, leader, stale } = state.cluster;
  setText($("cluster-name"), name.split(",")[0]);
  $("cluster-name").title = name;
  setText($("leader"), leader ? `${leader.kind} on ${leader.host} leads` : "no process leads");
  if (stale) staleSince(stale.since);
  showCounts();
}

function staleSince(exactly) {
  const since = exactly === null ? null : Math.floor(exactly / 1000) * 1000;
  if (state.staleSince === since) return;
  state.staleSince = since;
  showBanners();
}

let unannounced = [];
let announcing = null;
function hear(events) {
  // A stream begins with events that happened before.
  const isNew = state.events.length > 0 || Date.now() - state.connection.since > ANNOUNCE_INTERVAL;
  const fresh = takeEvents(events, EVENTS_KEPT);
  if (view === VIEWS.events) view.update();
  if (!isNew) return;
  unannounced.unshift(...fresh);
  if (announcing === null) announceEvents();
}

/** Announces the latest event, and how many came with it. The next ones wait, so that a reader can finish. */
function announceEvents() {
  announcing = null;
  if (unannounced.length === 0) return;
  const [{ subject: { unit, machine }, text }, ...others] = unannounced;
  const about = unit || (machine && machineName(machine));
  announce([about, text].filter(Boolean).join(": ") + (others.length > 0 ? `, and ${plural(others.length, "more event")}` : ""));
  unannounced = [];
  announcing = setTimeout(announceEvents, ANNOUNCE_INTERVAL);
}

function follow() {
  stream = new Stream({
    events: (events) => hear(events),
    change: ({ revision, stale_since: since }) => {
      staleSince(since);
      wanted = revision;
      if (wanted !== loaded) refreshSoon();
    },
    open: () => {
      const wasLost = state.connection.ever;
      state.connection = { live: true, since: Date.now(), ever: true };
      showConnection();
      if (wasLost) learnSession().catch(failed);
    },
    closed: (error, retryAt) => {
      const { live, since } = state.connection;
      state.connection = { ...state.connection, live: false, since: live ? Date.now() : since, retryAt, why: error?.message };
      showConnection();
      if (error instanceof Refused && error.status === 401) signIn(error.message);
    },
  });
  stream.run();
}

/** A hidden window asks for nothing, and after a while it closes its connection. */
let pausing = null;
function seen() {
  clearTimeout(pausing);
  if (document.hidden) {
    pausing = setTimeout(() => stream.pause(), PAUSE_AFTER);
  } else {
    stream.resume();
    if (wanted !== loaded) refreshSoon();
  }
}

// Messages

let countdown = null;
function showConnection() {
  const { live, since } = state.connection;
  $("connection").className = `connection ${live ? "good" : "bad"}`;
  setText($("connection-text"), live ? "Live" : `Not connected since ${clock(since)}`);
  clearInterval(countdown);
  if (!live) countdown = setInterval(() => setText($("retry-in") ?? document.createElement("i"), retryText()), 1000);
  showBanners();
}

function retryText() {
  const left = Math.ceil(((state.connection.retryAt ?? 0) - Date.now()) / 1000);
  return left > 0 ? `Next attempt in ${left} s.` : "Connecting…";
}

function showBanners() {
  const banners = [];
  const { live, since, ever } = state.connection;
  if (!live && (ever || Date.now() - since > 2000)) {
    banners.push(h("div", { class: "banner bad", id: "banner-connection" }, h("strong", {}, `Not connected since ${clock(since)}.`), " The page shows the cluster as it was then. ", h("span", { id: "retry-in", "aria-hidden": "true" }, retryText()), h("button", { type: "button", onclick: () => stream.retry() }, "Connect now")));
  }
  if (state.staleSince !== null) {
    banners.push(h("div", { class: "banner warn", id: "banner-stale" }, h("strong", {}, `Stale since ${clock(state.staleSince)}.`), " The store does not answer. The page shows the last known records."));
  }
  if (state.outdated) {
    banners.push(h("div", { class: "banner", id: "banner-outdated" }, "Another version of muster serves this page now.", h("button", { type: "button", onclick: () => location.reload() }, "Reload")));
  }
  fill($("banners"), banners);
}

/** Asks for a token. The service has said why. */
function signIn(why) {
  stream?.stop();
  token.drop();
  const input = h("input", { id: "token", type: "password", autocomplete: "off", spellcheck: false, required: true });
  const form = h("form", { class: "sign-in", onsubmit: (event) => {
    event.preventDefault();
    token.set(input.value.trim());
    location.reload();
  } }, h("h1", {}, "Sign in"), h("p", { role: "alert" }, `${why}.`), h("label", { for: "token" }, "Token"), input, h("button", { type: "submit", class: "primary" }, "Sign in"));
  document.body.classList.add("signed-out");
  showPanel(null);
  fill($("banners"));
  fill($("content"), form);
  input.focus();
}

// The keyboard

let prefix = null;
function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const isTyping = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName);
  if (event.key === "Escape") {
    if (isTyping) view.grid?.element.focus();
    else if (panel) close();
  } else if (isTyping) {
    return;
  } else if (prefix && event.key in KEYS) {
    location.hash = `#/${KEYS[event.key]}`;
  } else if (event.key === "/") {
    (view.input ?? $("content")).focus();
  } else if (event.key === "?") {
    showHelp();
  } else if (event.key === "g") {
    prefix = setTimeout(() => { prefix = null; }, 1500);
    return;
  } else {
    return;
  }
  clearTimeout(prefix);
  prefix = null;
  event.preventDefault();
}

function showHelp() {
  const keys = [["/", "Filter the list"], ["↑ ↓ or k j", "Move in the list"], ["Enter", "Open the row"], ["Esc", "Close the panel"], ...Object.entries(KEYS).map(([key, name]) => [`g ${key}`, TITLES[name]]), ["?", "This help"]];
  const dialog = h("dialog", { class: "dialog narrow", "aria-labelledby": "help-title", onclose: () => dialog.remove() },
    h("h2", { id: "help-title" }, "Keyboard"),
    h("dl", { class: "keys" }, keys.map(([key, what]) => [h("dt", {}, key.split(" ").map((part) => (part === "or" ? " or " : h("kbd", {}, part)))), h("dd", {}, what)])),
    h("div", { class: "dialog-foot" }, h("button", { type: "button", class: "primary", onclick: () => dialog.close() }, "Close")));
  document.body.append(dialog);
  dialog.showModal();
}

// The beginning

async function begin() {
  makeNav();
  whenStale(staleSince);
  const key = /^#key=([0-9a-f]+)$/.exec(location.hash)?.[1];
  if (key) {
    // The key works once, and does not stay in the history.
    history.replaceState(null, "", "#/machines");
    try {
      await exchange(key);
    } catch (error) {
      if (!token.get()) return signIn(error.message);
    }
  }
  addEventListener("hashchange", show);
  addEventListener("keydown", onKey);
  $("help").addEventListener("click", showHelp);
  $("skip").addEventListener("click", (event) => {
    event.preventDefault();
    (view.grid?.element ?? $("content")).focus();
  });
  document.addEventListener("visibilitychange", seen);
  setInterval(() => { if (!document.hidden && view === VIEWS.machines) view.update(); }, AGES_INTERVAL);
  show();
  setTimeout(showBanners, 2500);
  learnSession().catch(failed);
  refresh();
  follow();
}

begin();
