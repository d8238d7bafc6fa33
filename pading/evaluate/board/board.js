// Filters the rows, compares two lines class by class. Without it the page is complete; everything that only works with
// it is made here. Needs what tables.js defines.

const DATA = JSON.parse(document.getElementById("board-data").textContent);

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

all("table.compared").forEach(makeComparable);
makeFilters(document.getElementById("filters"));
addEventListener("beforeprint", () => all("details").forEach((part) => { part.open = true; }));
