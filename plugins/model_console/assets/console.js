"use strict";
// Filters and sorts the list of models; without it the list is whole, in order of name.
const table = document.getElementById("models");
if (table) {
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const filter = document.getElementById("filter");
  filter.addEventListener("input", () => {
    const words = filter.value.toLowerCase().split(/\s+/);
    let shown = 0;
    for (const row of rows) {
      row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word));
      shown += !row.hidden;
    }
    document.getElementById("none").hidden = shown > 0;
  });
  const key = (row, column) => row.cells[column].dataset.sort ?? row.cells[column].textContent.trim();
  const order = new Intl.Collator("en", { numeric: true }).compare;
  for (const button of table.tHead.querySelectorAll("button")) {
    const head = button.closest("th");
    button.addEventListener("click", () => {
      const descending = head.getAttribute("aria-sort") === "ascending";
      for (const other of table.tHead.querySelectorAll("[aria-sort]")) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      const sorted = rows.toSorted((a, b) => order(key(a, head.cellIndex), key(b, head.cellIndex)));
      body.append(...(descending ? sorted.reverse() : sorted));
    });
  }
}
// Airflow shows the console in a frame that may not navigate the window; a link of the window's own document may.
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[target=_top]");
  if (!link || window.top === window) return;
  event.preventDefault();
  const outer = window.top.document.createElement("a");
  outer.href = link.href;
  outer.click();
});
