// Sorts the table by the column whose head is pressed, numbers as numbers, what is empty last.
element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-sort]");
  if (!button) return;
  const head = button.closest("th"), column = Number(button.dataset.sort);
  const falling = head.ariaSort === "ascending";
  for (const other of head.parentElement.querySelectorAll("[aria-sort]")) other.ariaSort = "none";
  head.ariaSort = falling ? "descending" : "ascending";
  const body = head.closest("table").tBodies[0];
  const value = (row) => row.cells[column].dataset.value;
  const compare = (one, other) => {
    const [a, b] = [value(one), value(other)];
    if (!a || !b) return Number(!a) - Number(!b);
    const order = isNaN(a) || isNaN(b) ? a.localeCompare(b, undefined, { numeric: true }) : a - b;
    return falling ? -order : order;
  };
  body.append(...[...body.rows].sort(compare));
});
