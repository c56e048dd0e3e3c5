"use strict";
(() => {
  const table = document.getElementById("slides");
  if (!table) return;
  const body = table.tBodies[0];
  const rows = Array.from(body.rows, (row) => ({ row, words: row.textContent.toLowerCase(), kind: row.dataset.kind }));
  const search = document.getElementById("search");
  const show = document.getElementById("show");
  const told = document.getElementById("told");
  const heads = Array.from(table.tHead.rows[0].cells);

  const filter = () => {
    const wanted = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let seen = 0;
    for (const { row, words, kind } of rows) {
      const fits = (!show.value || kind.split(" ").includes(show.value)) && wanted.every((word) => words.includes(word));
      row.hidden = !fits;
      seen += fits;
    }
    told.textContent = `${seen.toLocaleString("en")} of ${rows.length.toLocaleString("en")} slides shown`;
  };

  const sort = (column) => {
    const head = heads[column];
    const down = head.getAttribute("aria-sort") === "ascending";
    const keys = new Map(rows.map(({ row }) => {
      const cell = row.cells[column];
      const value = cell.dataset.v;
      return [row, value === undefined ? cell.textContent.trim() : value === "" ? null : Number(value)];
    }));
    const order = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });
    const compare = (one, other) => {
      const a = keys.get(one.row), b = keys.get(other.row);
      if (a === null || b === null) return (a === null) - (b === null); // what is not known comes last, either way
      const by = typeof a === "number" ? a - b : order.compare(a, b);
      return down ? -by : by;
    };
    for (const each of heads) each.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    body.append(...rows.slice().sort(compare).map(({ row }) => row));
  };

  heads.forEach((head, column) => {
    if (!("sort" in head.dataset)) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    button.addEventListener("click", () => sort(column));
    head.append(button);
  });
  search.addEventListener("input", filter);
  show.addEventListener("change", filter);
  document.getElementById("tools").hidden = false;
  filter();
})();
