// Sorts tables, and lights a line of a table wherever it is drawn. Goes before the script of each page that has tables.
"use strict";

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

all("table.sortable").forEach(makeSortable);
makeLights();
