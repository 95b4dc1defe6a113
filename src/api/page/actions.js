// The actions: each shows its plan first, in a dialog, and does nothing before it is confirmed.

import { announce, fill, h, number, plural, toast } from "./dom.js";
import { getJson, post } from "./client.js";
import { machineName, operates, state } from "./model.js";

/** How many rows of a plan are shown at first. */
const ROWS = 50;

const VERBS = {
  start: { title: "Start", done: "is to start" },
  stop: { title: "Stop", done: "is to stop", note: "It stays on its machine." },
  restart: { title: "Restart", done: "is to restart" },
  cordon: { title: "Cordon", done: "is cordoned", note: "The machine keeps its units and takes no new ones." },
  uncordon: { title: "Uncordon", done: "takes units again" },
  drain: { title: "Drain", done: "is drained", note: "The machine takes no new units, and its units move to other machines." },
};

const folder = (verb) => (["cordon", "uncordon", "drain"].includes(verb) ? "machines" : "units");

/** The buttons for a unit or a machine; none for a client that may only read. */
export function buttons(name, verbs) {
  if (!operates()) return [];
  return verbs.map((verb) => h("button", { type: "button", class: "action", data: { verb }, onclick: (event) => ask(verb, name, event.currentTarget) }, VERBS[verb].title));
}

/** Shows the plan of an action, and carries the action out if it is confirmed. */
function ask(verb, name, opener) {
  const { title, done, note } = VERBS[verb];
  const plan = h("div", { class: "plan", "aria-live": "polite" }, h("p", { class: "soft" }, "Working out the plan…"));
  const error = h("p", { class: "error", role: "alert", hidden: true });
  const confirm = h("button", { type: "button", class: "primary", disabled: true, onclick: () => carryOut() }, `${title} ${name}`);
  const dialog = h("dialog", { class: "dialog", "aria-labelledby": "dialog-title", onclose: () => {
    dialog.remove();
    if (opener.isConnected) opener.focus();
  } },
    h("h2", { id: "dialog-title" }, `${title} ${name}?`),
    note ? h("p", { class: "lead" }, note) : null,
    leaderNote(),
    h("h3", {}, "Plan"), plan, error,
    h("div", { class: "dialog-foot" }, h("button", { type: "button", onclick: () => dialog.close() }, "Cancel"), confirm));
  document.body.append(dialog);
  dialog.showModal();

  const refuse = (failure) => {
    error.textContent = failure.message;
    error.hidden = false;
  };
  getJson(`plan?${verb}=${encodeURIComponent(name)}`).then((answer) => {
    fill(plan, planParts(answer, "Nothing would change on a host."));
    confirm.disabled = false;
    confirm.focus();
  }, (failure) => {
    fill(plan);
    refuse(failure);
  });

  async function carryOut() {
    confirm.disabled = true;
    error.hidden = true;
    try {
      await post(`${folder(verb)}/${encodeURIComponent(name)}/${verb}`);
      dialog.close();
      const text = `${name} ${done}.`;
      toast(text);
      announce(text);
    } catch (failure) {
      confirm.disabled = false;
      refuse(failure);
    }
  }
}

/** Says which process carries an action out. */
function leaderNote() {
  const leader = state.cluster?.leader;
  if (leader?.kind === "controller") return null;
  const text = state.session?.carries_out
    ? "No controller leads. This process carries the action out, as the command would."
    : "No controller leads. The desired state is stored, and the next controller or `muster sweep` carries it out.";
  return h("p", { class: "note" }, text);
}

/** A table of a plan, the first rows of it unless all are asked for. */
function table(caption, heads, rows) {
  if (rows.length === 0) return null;
  const body = h("tbody");
  const show = (count) => fill(body, rows.slice(0, count).map((row) => h("tr", {}, row.map((cell) => h("td", {}, cell)))));
  show(ROWS);
  const more = rows.length > ROWS && h("button", { type: "button", class: "quiet", onclick: () => { show(rows.length); more.remove(); } }, `Show all ${number(rows.length)}`);
  return h("div", { class: "plan-part" }, h("table", {}, h("caption", {}, caption), h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col" }, head)))), body), more);
}

/** The parts of a plan or a simulation. */
export function planParts(answer, nothing = "Nothing would move.") {
  const { moves, steps, unschedulable = [], warnings = [], health_changes: healths = {}, pending = 0 } = answer;
  const name = (id) => (id ? machineName(id) : "–");
  const refused = table(`${plural(unschedulable.length, "unit")} would have no machine`, ["Unit", "Why"], unschedulable.map((it) => [it.unit, it.why]));
  refused?.classList.add("bad-part");
  const health = Object.entries(healths).map(([id, record]) => [name(id), record.health.replace("-", " ")]);
  const isEmpty = moves.length === 0 && steps.length === 0 && unschedulable.length === 0;
  return [
    warnings.map((text) => h("p", { class: "note" }, text)),
    isEmpty ? h("p", { class: "summary" }, nothing) : null,
    refused,
    table(plural(moves.length, "move"), ["Unit", "From", "To", "Reason"], moves.map((it) => [it.unit, name(it.from), name(it.to), it.reason])),
    table(plural(steps.length, "step"), ["Machine", "Step", "Unit", "Reason"], steps.map((it) => [it.name ?? name(it.machine), it.step, it.unit, it.reason])),
    table(plural(health.length, "change") + " of health", ["Machine", "Health"], health),
    pending ? h("p", { class: "soft" }, `The leader has ${plural(pending, "other step")} to take in any case.`) : null,
  ];
}
