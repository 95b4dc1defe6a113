// A list of any length: only the rows in sight are elements. Screen readers learn the number of all rows, and the keyboard reaches
// each of them.

import { h, setText } from "./dom.js";

const OVERSCAN = 6;
/** The length from which on a text may be cut, so that the whole text is shown as a tooltip. */
const LONG = 20;
/** The highest element that browsers lay out exactly, in pixels. */
const HIGHEST = 8_000_000;

export class Grid {
  #rows = [];
  #pool = [];
  #active = -1;
  #activeKey = null;
  #first = 0;
  #queued = false;
  #sort;

  /**
   * `columns`: {key, title, size, sort, narrow, cell(row) → Node or text}. `keyOf(row)` names a row. `onopen(row)` opens one.
   * `onsort(key, isDescending)` is called when a column is chosen.
   */
  constructor({ label, columns, keyOf, onopen, onsort, sort, id, empty }) {
    Object.assign(this, { columns, keyOf, onopen, onsort, id });
    this.#sort = sort;
    this.head = h("div", { class: "grid-head", role: "row", "aria-rowindex": "1" });
    this.spacer = h("div", { class: "grid-spacer", role: "presentation" });
    this.body = h("div", { class: "grid-body", role: "rowgroup" }, this.spacer);
    this.emptyText = h("p", { class: "grid-empty", hidden: true }, empty);
    this.element = h("div", { class: `grid grid-${id}`, role: "grid", "aria-label": label, "aria-colcount": columns.length, tabIndex: 0, onkeydown: (event) => this.#key(event), onclick: (event) => this.#click(event) },
      h("div", { role: "rowgroup" }, this.head), this.body, this.emptyText);
    this.element.style.setProperty("--columns", columns.map((column) => column.size).join(" "));
    this.#makeHead();
    this.element.addEventListener("scroll", () => this.#queue(), { passive: true });
    this.resize = new ResizeObserver(() => this.#queue());
    this.resize.observe(this.element);
  }

  #makeHead() {
    this.head.replaceChildren(...this.columns.map((column, index) => {
      const isSorted = this.#sort?.key === column.sort && column.sort;
      const direction = isSorted ? (this.#sort.descending ? "descending" : "ascending") : column.sort ? "none" : null;
      const title = column.sort
        ? h("button", { type: "button", tabIndex: -1, onclick: () => this.#choose(column.sort) }, column.title, h("span", { class: "arrow", "aria-hidden": "true" }, isSorted ? (this.#sort.descending ? "↓" : "↑") : ""))
        : column.title;
      return h("div", { class: `cell ${column.class ?? ""}`, role: "columnheader", "aria-colindex": index + 1, "aria-sort": direction }, title);
    }));
  }

  #choose(key) {
    const descending = this.#sort?.key === key ? !this.#sort.descending : false;
    this.#sort = { key, descending };
    this.#makeHead();
    this.onsort(key, descending);
  }

  get rowHeight() {
    return this.height ??= parseFloat(getComputedStyle(this.element).getPropertyValue("--row")) || 34;
  }

  /** Shows other rows. The row that is active stays active although its place has changed. */
  setRows(rows) {
    this.#rows = rows;
    this.height = undefined;
    if (this.#activeKey !== null) {
      this.#active = rows.findIndex((row) => this.keyOf(row) === this.#activeKey);
    }
    this.element.setAttribute("aria-rowcount", rows.length + 1);
    this.emptyText.hidden = rows.length > 0;
    this.spacer.style.height = `${Math.min(rows.length * this.rowHeight, HIGHEST)}px`;
    this.render();
  }

  #queue() {
    if (this.#queued) return;
    this.#queued = true;
    requestAnimationFrame(() => {
      this.#queued = false;
      this.render();
    });
  }

  render() {
    const height = this.rowHeight;
    const shown = Math.ceil((this.element.clientHeight || 600) / height) + 2 * OVERSCAN;
    const first = Math.max(0, Math.min(Math.floor(this.element.scrollTop / height) - OVERSCAN, this.#rows.length - shown));
    const last = Math.min(this.#rows.length, first + shown);
    this.#first = first;
    while (this.#pool.length < last - first) this.#pool.push(this.#makeRow());
    this.#pool.forEach((row, slot) => {
      const index = first + slot;
      row.element.hidden = index >= last;
      if (index < last) this.#fillRow(row, index);
    });
    const active = this.#active >= first && this.#active < last ? `${this.id}-row-${this.#active}` : null;
    if (active) this.element.setAttribute("aria-activedescendant", active);
    else this.element.removeAttribute("aria-activedescendant");
  }

  #makeRow() {
    const cells = this.columns.map((column, index) => h("div", { class: `cell ${column.class ?? ""}`, role: "gridcell", "aria-colindex": index + 1 }));
    const element = h("div", { class: "row", role: "row" }, cells);
    this.body.append(element);
    return { element, cells, shown: [] };
  }

  #fillRow(row, index) {
    const value = this.#rows[index];
    const { element, cells } = row;
    element.style.transform = `translateY(${index * this.rowHeight}px)`;
    element.id = `${this.id}-row-${index}`;
    element.dataset.index = index;
    element.setAttribute("aria-rowindex", index + 2);
    element.setAttribute("aria-selected", index === this.#active);
    element.classList.toggle("active", index === this.#active);
    this.columns.forEach((column, number) => {
      const content = column.cell(value);
      if (content instanceof Node) cells[number].replaceChildren(content);
      else setText(cells[number], content ?? "");
      const text = cells[number].textContent;
      cells[number].title = text.length > LONG ? text : "";
    });
  }

  #key(event) {
    if (event.target !== this.element || event.ctrlKey || event.metaKey || event.altKey) return;
    const page = Math.max(1, Math.floor(this.element.clientHeight / this.rowHeight) - 2);
    const steps = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (event.key === "Enter" || event.key === " ") {
      if (this.#rows[this.#active]) this.onopen(this.#rows[this.#active]);
    } else if (event.key in steps) {
      this.activate(this.#active + steps[event.key]);
    } else {
      return;
    }
    event.preventDefault();
  }

  #click(event) {
    const element = event.target.closest(".row");
    if (!element || event.target.closest("a, button")) return;
    this.activate(Number(element.dataset.index), false);
    if (this.#rows[this.#active]) this.onopen(this.#rows[this.#active]);
  }

  activate(index, scrolls = true) {
    if (this.#rows.length === 0) return;
    this.#active = Math.max(0, Math.min(index, this.#rows.length - 1));
    this.#activeKey = this.keyOf(this.#rows[this.#active]);
    const [height, view] = [this.rowHeight, this.element.clientHeight - this.head.offsetHeight];
    const top = this.#active * height;
    if (scrolls && top < this.element.scrollTop) this.element.scrollTop = top;
    else if (scrolls && top + height > this.element.scrollTop + view) this.element.scrollTop = top + height - view;
    this.render();
  }

  /** Marks the row with this key as the open one. */
  mark(key) {
    this.#activeKey = key;
    this.#active = key === null ? -1 : this.#rows.findIndex((row) => this.keyOf(row) === key);
    this.render();
  }

  dispose() {
    this.resize.disconnect();
  }
}
