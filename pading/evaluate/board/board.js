// Sorts and filters tables, lights a line wherever it is drawn, compares two lines class by class. Without it the page
// is complete; everything that only works with it is made here.
"use strict";

const DATA = JSON.parse(document.getElementById("board-data").textContent);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];

function element(tag, properties = {}, children = []) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

// ---- sorting

function sortValue(row, column, kind) {
  const cell = row.cells[column];
  if (kind === "text") return cell.textContent.trim().toLowerCase();
  return cell.dataset.value ? Number(cell.dataset.value) : null;
}

function sortTable(table, head, direction) {
  const { column, kind } = head.dataset;
  const body = table.tBodies[0];
  const sign = direction === "ascending" ? 1 : -1;
  const rows = [...body.rows].map((row) => ({ row, value: sortValue(row, Number(column), kind) }));
  rows.sort((one, other) => {
    if (one.value === null || other.value === null) return (one.value === null) - (other.value === null); // always last
    if (kind === "text") return sign * one.value.localeCompare(other.value);
    return sign * (one.value - other.value);
  });
  body.append(...rows.map(({ row }) => row));
  for (const other of all("th[data-column]", table)) other.setAttribute("aria-sort", other === head ? direction : "none");
}

function makeSortable(table) {
  for (const head of all("th[data-column]", table)) {
    const button = element("button", { type: "button", title: "sort by this column" }, [...head.childNodes]);
    const name = head.getAttribute("aria-label");
    if (name) button.setAttribute("aria-label", `${name}: sort`);
    head.replaceChildren(button);
    head.setAttribute("aria-sort", "none");
    const first = head.dataset.kind === "text" ? "ascending" : "descending";
    const second = head.dataset.kind === "text" ? "descending" : "ascending";
    button.addEventListener("click", () => {
      sortTable(table, head, head.getAttribute("aria-sort") === first ? second : first);
    });
  }
}

// ---- filtering

function lineParts(key) {
  const at = key.lastIndexOf(" (");
  return { method: key.slice(0, at), profile: key.slice(at + 2, -1) };
}

function choice(label, names) {
  const options = [element("option", { value: "", textContent: `every ${label}` })];
  for (const name of names) options.push(element("option", { value: name, textContent: name }));
  const select = element("select", {}, options);
  select.setAttribute("aria-label", label);
  return select;
}

function makeFilters(place) {
  const rows = all("table.filtered tbody tr");
  const lines = all("table.scores tbody tr[data-line]");
  const marks = all("svg [data-line]");
  const parts = lines.map((row) => lineParts(row.dataset.line));
  const text = element("input", { type: "search", placeholder: "filter rows" });
  text.setAttribute("aria-label", "filter rows by text");
  const method = choice("method", [...new Set(parts.map((part) => part.method))]);
  const profile = choice("profile", [...new Set(parts.map((part) => part.profile))]);
  const count = element("output");

  const keeps = (key) => {
    const { method: name, profile: settings } = lineParts(key);
    return (!method.value || name === method.value) && (!profile.value || settings === profile.value);
  };
  const apply = () => {
    const wanted = text.value.trim().toLowerCase();
    const hidden = new Set();
    for (const row of rows) {
      const { line, lines: pair } = row.dataset;
      const hasText = row.textContent.toLowerCase().includes(wanted);
      const isKept = line ? keeps(line) : pair.split("\n").some(keeps);
      row.hidden = !(hasText && isKept);
      if (line && row.hidden) hidden.add(line);
    }
    const visible = lines.filter((row) => !row.hidden);
    for (const row of visible) hidden.delete(row.dataset.line);
    for (const mark of marks) mark.classList.toggle("off", hidden.has(mark.dataset.line));
    count.textContent = `${visible.length} of ${lines.length} rows`;
  };
  for (const input of [text, method, profile]) input.addEventListener("input", apply);
  place.append(text, method, ...(profile.options.length > 2 ? [profile] : []), count);
  apply();
}

// ---- one line, wherever it is drawn

function light(key) {
  document.body.classList.toggle("lit", key !== null);
  for (const part of all("[data-line]")) part.classList.toggle("on", part.dataset.line === key);
}

function makeLights() {
  document.addEventListener("mouseover", (event) => {
    const part = event.target.closest("[data-line]");
    light(part ? part.dataset.line : null);
  });
  document.addEventListener("mouseleave", () => light(null));
}

// ---- two lines, class by class

const signed = (value) => `${value < 0 ? "\u2212" : "+"}${Math.abs(value).toFixed(1)}`;

function fillBar(cell, value) {
  cell.dataset.value = value ?? "";
  if (value === null) return cell.replaceChildren("\u2013");
  const bar = element("i");
  bar.style.width = `${value.toFixed(1)}%`;
  cell.replaceChildren(bar, element("b", { textContent: value.toFixed(1) }));
}

function compare(table, values, first, second) {
  for (const [column, name] of [[1, first], [2, second]]) {
    const head = table.tHead.rows[0].cells[column];
    (head.querySelector("button") ?? head).textContent = name;
  }
  for (const row of table.tBodies[0].rows) {
    const at = Number(row.dataset.class);
    const [one, other] = [values[first][at], values[second][at]];
    fillBar(row.cells[1], one);
    fillBar(row.cells[2], other);
    const difference = one === null || other === null ? null : one - other;
    row.cells[3].dataset.value = difference ?? "";
    row.cells[3].textContent = difference === null ? "\u2013" : signed(difference);
  }
  const sorted = table.querySelector('th[aria-sort="ascending"], th[aria-sort="descending"]');
  if (sorted) sortTable(table, sorted, sorted.getAttribute("aria-sort"));
}

function makeComparable(table) {
  const values = DATA.classes[table.dataset.task];
  const names = Object.keys(values);
  const selects = ["first", "second"].map((side) => {
    const options = names.map((name) => element("option", { value: name, textContent: name }));
    const select = element("select", {}, options);
    select.value = table.dataset[side];
    return select;
  });
  for (const select of selects) {
    select.addEventListener("input", () => compare(table, values, selects[0].value, selects[1].value));
  }
  const labels = selects.map((select, at) => element("label", {}, [at ? "with " : "compare ", select]));
  table.parentElement.before(element("div", { className: "choose" }, labels));
}

all("table.sortable").forEach(makeSortable);
all("table.compared").forEach(makeComparable);
makeFilters(document.getElementById("filters"));
makeLights();
addEventListener("beforeprint", () => all("details").forEach((part) => { part.open = true; }));
