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
}
for (const sorted of document.querySelectorAll("table.sortable")) {
  const body = sorted.tBodies[0];
  const rows = [...body.rows];
  const key = (row, column) => row.cells[column].dataset.sort ?? row.cells[column].textContent.trim();
  const order = new Intl.Collator("en", { numeric: true }).compare;
  for (const button of sorted.tHead.querySelectorAll("button")) {
    const head = button.closest("th");
    button.addEventListener("click", () => {
      const descending = head.getAttribute("aria-sort") === "ascending";
      for (const other of sorted.tHead.querySelectorAll("[aria-sort]")) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      const inOrder = rows.toSorted((a, b) => order(key(a, head.cellIndex), key(b, head.cellIndex)));
      body.append(...(descending ? inOrder.reverse() : inOrder));
    });
  }
}
// An address that ends with a form's name opens it, as Airflow's own forms do.
const asked = document.getElementById(location.hash.slice(1));
if (asked instanceof HTMLDetailsElement) asked.open = true;
// The range of a backfill: typed, or two squares of the calendar; with its price.
const backfill = document.querySelector("#backfill form");
if (backfill) {
  const { first, last } = backfill.elements;
  const price = document.getElementById("price");
  const calendar = document.querySelector(".calendar");
  const squares = calendar ? [...calendar.querySelectorAll("[data-day]")] : [];
  const show = () => {
    const days = (Date.parse(last.value) - Date.parse(first.value)) / 86400000 + 1;
    if (price) price.value = days >= 1 ? ` ${days} days: about ${(days * price.dataset.usd).toFixed(2)} USD.` : "";
    for (const square of squares) {
      const chosen = square.dataset.day >= first.value && square.dataset.day <= last.value;
      square.classList.toggle("chosen", calendar.classList.contains("choosing") && chosen);
    }
  };
  first.addEventListener("input", show);
  last.addEventListener("input", show);
  show();
  const select = document.getElementById("select");
  if (select) {
    select.hidden = false;
    let begun = "";
    select.addEventListener("click", () => {
      calendar.classList.toggle("choosing");
      begun = "";
      show();
    });
    calendar.addEventListener("click", (event) => {
      const day = event.target.closest("[data-day]")?.dataset.day;
      if (!day || !calendar.classList.contains("choosing")) return;
      event.preventDefault();
      [first.value, last.value] = begun ? [begun, day].toSorted() : [day, day];
      begun = begun ? "" : day;
      document.getElementById("backfill").open = true;
      show();
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
// A failed task leads to its row of the runbook; one that has none, to where failures are explained.
if (document.querySelector(".runbook") && location.hash && !document.getElementById(location.hash.slice(1))) {
  document.getElementById("when-it-fails")?.scrollIntoView();
}
