// The panel about one machine or one unit. It is renewed whenever the records change.

import { $, ago, badge, clock, fill, h, machineLink, plural, time, unitLink } from "./dom.js";
import { Refused, getJson, getText } from "./client.js";
import { buttons } from "./actions.js";
import { healthTone, healthWord, machineName, observed, state } from "./model.js";
import { eventList, facts } from "./views.js";

/** How many lines of the journal are asked for. */
const JOURNAL_LINES = 200;

class Panel {
  constructor(name, close) {
    this.name = name;
    this.head = h("div", { class: "panel-head" });
    this.actions = h("div", { class: "panel-actions", role: "group", "aria-label": "Actions" });
    this.body = h("div", { class: "panel-body" });
    this.title = h("h2", { id: "panel-title", tabIndex: -1 }, name);
    this.element = h("div", { class: "panel", role: "region", "aria-labelledby": "panel-title" },
      h("div", { class: "panel-top" }, this.title, h("button", { type: "button", class: "close", "aria-label": "Close", title: "Close (Esc)", onclick: close }, "×")),
      this.head, this.actions, this.body);
  }

  /** Shows other buttons only if they differ, so that the one with the focus keeps it. */
  setActions(verbs, ...links) {
    const wanted = [...buttons(this.name, verbs), ...links];
    const text = wanted.map((it) => it.dataset.verb ?? it.href).join();
    if (this.shown !== text) {
      fill(this.actions, wanted);
      this.shown = text;
    }
    this.actions.hidden = wanted.length === 0;
  }

  /** Asks, and shows the answer unless the panel shows something else by then. */
  async ask(path, show, get = getJson) {
    const asked = this.asked = Symbol(path);
    try {
      const answer = await get(path);
      if (this.asked === asked) show(answer);
    } catch (error) {
      if (this.asked === asked && error instanceof Refused) fill(this.body, h("p", { class: "error", role: "alert" }, error.message));
    }
  }
}

export class MachinePanel extends Panel {
  kind = "machines";

  update() {
    const row = state.machinesByName.get(this.name);
    if (!row) {
      fill(this.head);
      this.setActions([]);
      return fill(this.body, h("p", { class: "error", role: "alert" }, `No machine is called ${this.name}.`));
    }
    fill(this.head, h("p", { class: "headline" }, badge(row.tone, row.word), row.scheduling ? h("span", { class: "tag" }, row.scheduling) : null), h("p", { class: "evidence" }, row.evidence ?? "It was not observed yet."));
    const question = h("a", { class: "button", href: `#/what-if?down=${encodeURIComponent(this.name)}` }, "What if it died?");
    this.setActions([row.cordoned || row.draining ? "uncordon" : "cordon", ...(row.draining ? [] : ["drain"])], question);
    this.ask(`machines/${encodeURIComponent(row.machine)}`, (answer) => this.#show(row, answer));
  }

  #show(row, { machine, health, lease, units, events }) {
    const podman = typeof row.podman === "string" ? row.podman : Object.values(row.podman ?? {})[0];
    fill(this.body,
      facts([
        ["Since", row.since ? [time(row.since), `, ${ago(row.since)}`] : null],
        ["Observed", observed(row)],
        ["Last seen", health?.last_seen && !row.is_current ? time(health.last_seen) : null],
        ["Lease", lease ? leaseText(lease) : null],
        ["Address", machine.address],
        ["Through", machine.jump],
        ["IP", row.ip],
        ["System", row.os ? `${row.os}, systemd ${row.systemd}` : null],
        ["Podman", podman === undefined || podman === null ? null : String(podman)],
        ["Metadata", row.meta],
        ["Machine-id", h("span", { class: "mono" }, row.machine)],
      ]),
      h("h3", {}, `Units (${units.length})`),
      units.length ? h("ul", { class: "rows" }, units.map((it) => h("li", {}, unitLink(it.unit), unitBadge(it)))) : h("p", { class: "soft" }, "None."),
      events.length ? [h("h3", {}, "Latest events"), eventList(events)] : null);
  }
}

function leaseText(lease) {
  const end = lease.stopped_for_sure_at ?? lease.until;
  return [`granted by the leader with epoch ${lease.epoch}`, end ? [", until ", time(end)] : ""];
}

function unitBadge(it) {
  const row = state.unitsByName.get(it.unit);
  if (it.active) return badge(it.active === "failed" ? "bad" : row?.tone ?? "idle", `${it.active} (${it.sub})`);
  if (it.last) return badge("warn", `was ${it.last.active} (${it.last.sub})`);
  return badge(row?.tone ?? "idle", row?.word ?? "not there");
}

const TABS = [["why", "Why"], ["file", "File"], ["journal", "Journal"]];

export class UnitPanel extends Panel {
  kind = "units";
  tab = "why";

  constructor(name, close) {
    super(name, close);
    this.tabs = h("div", { class: "tabs", role: "tablist", "aria-label": "About the unit", onkeydown: (event) => this.#key(event) },
      TABS.map(([id, title]) => h("button", { type: "button", role: "tab", id: `tab-${id}`, data: { tab: id }, "aria-controls": "tab-panel", onclick: () => this.#choose(id) }, title)));
    this.body.before(this.tabs);
    this.body.id = "tab-panel";
    this.body.setAttribute("role", "tabpanel");
    this.#mark();
  }

  #choose(tab) {
    this.tab = tab;
    this.#mark();
    fill(this.body);
    this.update();
  }

  #mark() {
    for (const tab of this.tabs.children) {
      const isShown = tab.dataset.tab === this.tab;
      tab.setAttribute("aria-selected", isShown);
      tab.tabIndex = isShown ? 0 : -1;
    }
    this.body.setAttribute("aria-labelledby", `tab-${this.tab}`);
  }

  #key(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const shown = [...this.tabs.children].filter((tab) => !tab.hidden);
    const next = shown[(shown.indexOf(document.activeElement) + step + shown.length) % shown.length];
    next.focus();
    this.#choose(next.dataset.tab);
  }

  update() {
    const row = state.unitsByName.get(this.name);
    this.setActions(row ? ["start", "stop", "restart"].filter((verb) => verb === "start" ? row.desired !== "launched" || row.tone === "bad" : row.desired !== "inactive") : []);
    if (row) fill(this.head, h("p", { class: "headline" }, badge(row.tone, row.word), row.place ? h("span", {}, "on ", row.machine ? machineLink(row.machine) : row.place) : null), row.description ? h("p", { class: "evidence" }, row.description) : null);
    else fill(this.head);
    const path = `units/${encodeURIComponent(this.name)}`;
    if (this.tab === "why") this.ask(`${path}/why`, (answer) => this.#showWhy(answer));
    else if (this.tab === "file") this.ask(`unit-files/${encodeURIComponent(this.name)}`, (text) => this.#showText(text), getText);
    else this.ask(`${path}/journal?lines=${JOURNAL_LINES}`, (text) => this.#showJournal(text), getText);
  }

  #showText(text) {
    const [shown] = this.body.children;
    // The selection of the reader stays while the text is the same.
    if (shown?.tagName === "PRE" && shown.textContent === text) return;
    fill(this.body, h("pre", { class: "text", tabIndex: 0 }, text));
  }

  #showJournal(text) {
    const isAtEnd = this.body.scrollTop + this.body.clientHeight >= this.body.scrollHeight - 40;
    this.#showText(text || "The journal has no entry of this unit.");
    if (isAtEnd) this.body.scrollTop = this.body.scrollHeight;
  }

  #showWhy(why) {
    const { placement, states, not_running: troubles, refusal, events } = why;
    // A machine without a reason against it fits.
    const reasons = why.filter_reasons.filter((it) => it.reasons.length > 0);
    const fits = why.filter_reasons.length - reasons.length;
    fill(this.body,
      troubles.map((it) => h("p", { class: "trouble-box" }, it.text)),
      facts([
        ["Desired", why.desired],
        ["Class", why.class],
        ["Placed on", placement ? [machineLink(machineName(placement.machine)), `, ${ago(placement.since)}`] : why.global ? "every machine that fits" : "no machine"],
        ["Because", why.placement_reason],
        ["Refused", refusal],
        ["Fits on", why.filter_reasons.length ? plural(fits, "machine") : null],
        ["May run until", why.may_run_until ? time(why.may_run_until) : null],
        ["Application", state.unitsByName.get(this.name)?.application],
        ["File", h("span", { class: "mono" }, why.hash.slice(0, 12))],
      ]),
      states.length ? [h("h3", {}, "States"), h("ul", { class: "rows" }, states.slice(0, 100).map((it) => stateRow(it)))] : null,
      reasons.length ? [h("h3", {}, "Machines that do not fit"), h("ul", { class: "rows" }, reasons.slice(0, 100).map((it) => h("li", {}, machineLink(it.name), h("span", { class: "soft" }, it.reasons.join("; ")))))] : null,
      events.length ? [h("h3", {}, "Latest events"), eventList(events)] : null);
  }
}

function stateRow(it) {
  const { active, sub } = it.state;
  const word = `${it.is_current ? "" : "was "}${active} (${sub})`;
  const tone = !it.is_current ? "warn" : active === "active" ? "good" : active === "failed" ? "bad" : "idle";
  const health = it.health && it.health !== "alive" ? badge(healthTone(it.health), healthWord(it.health)) : null;
  const age = it.is_current || !it.observed_at ? null : h("span", { class: "soft" }, `as of ${clock(it.observed_at)}`);
  return h("li", {}, machineLink(it.name), badge(tone, word), health, age);
}

/** Shows a panel, or none. */
export function showPanel(panel) {
  const aside = $("details");
  aside.hidden = panel === null;
  document.body.classList.toggle("has-details", panel !== null);
  fill(aside, panel?.element);
}
