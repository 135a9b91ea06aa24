// The cases as a table of any length; its headers sort, a press on a case opens it.
const ROW_HEIGHT = 34;

// `columns` are names of what a record holds; `sortable` tells by which of them the cases can be sorted.
function caseList(box, { data, columns, titles, on }) {
  const [head, body] = [box.querySelector(".mm-list-head"), box.querySelector(".mm-list-body")];
  let points = [];
  const items = (line) => [...line.querySelectorAll("button")];
  const rows = virtualRows(body, { height: () => ROW_HEIGHT, make: row, settled, items, total: () => points.length });

  for (const name of columns) {
    const [cell, button] = ["span", "button"].map((tag) => document.createElement(tag));
    cell.role = "columnheader";
    cell.dataset.column = name;
    button.type = "button";
    button.textContent = titles[name];
    button.addEventListener("click", () => on.sort(name));
    cell.append(button);
    head.append(cell);
  }

  function row(number) {
    const line = document.createElement("div");
    line.role = "row";
    line.className = "mm-list-row";
    line.ariaRowIndex = String(number + 2); // the header is the first
    for (const name of columns) {
      const cell = document.createElement("span");
      cell.role = "cell";
      if (name === "case") {
        cell.append(Object.assign(document.createElement("button"), { type: "button" }));
        cell.firstChild.append(document.createElement("bdi")); // the button is cut off at its left
      }
      line.append(cell);
    }
    line.dataset.at = number;
    return line;
  }

  async function settled(numbers) {
    const empty = numbers.map((number) => rows.row(number)).filter((line) => line && !line.dataset.filled);
    for (const line of empty) line.dataset.filled = "asked";
    const known = await data.records(empty.map((line) => points[line.dataset.at]));
    known.forEach((record, i) => {
      columns.forEach((name, k) => {
        const cell = empty[i].children[k];
        (cell.querySelector("bdi") ?? cell).textContent = record[name];
        cell.title = record[name];
      });
    });
  }

  body.addEventListener("click", (event) => {
    const point = points[event.target.closest("button")?.closest(".mm-list-row").dataset.at];
    if (point !== undefined) on.open(point, event);
  });
  body.addEventListener("pointerover", (event) => on.point(points[event.target.closest(".mm-list-row")?.dataset.at] ?? -1));
  body.addEventListener("pointerleave", () => on.point(-1));
  body.addEventListener("scroll", () => (head.scrollLeft = body.scrollLeft), { passive: true });

  return {
    show(wanted) {
      points = wanted;
      box.ariaRowCount = String(points.length + 1);
      rows.show(points.length);
    },
    sorted(column, down) {
      for (const cell of head.children)
        cell.ariaSort = cell.dataset.column === column ? (down ? "descending" : "ascending") : "none";
    },
  };
}
