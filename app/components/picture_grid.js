// The cases as pictures, or as drawings of their modality: a press opens a case, the arrow keys walk.
const CELL_WIDTH = 124; // px, at least
const CELL_GAP = 10;
const CAPTION = 46; // px below a picture

function pictureGrid(box, { data, drawing, sentences, on }) {
  let [points, across, side] = [[], 1, 0];

  const rows = virtualRows(box, {
    height: () => side + CAPTION + CELL_GAP,
    make: row,
    settled,
    items: (line) => [...line.children],
    total: () => points.length,
    across: () => across,
  });

  function measure() {
    const width = box.clientWidth - 24; // the padding on both sides
    across = Math.max(2, Math.floor((width + CELL_GAP) / (CELL_WIDTH + CELL_GAP)));
    side = width > 0 ? Math.floor((width - (across - 1) * CELL_GAP) / across) : 0;
  }

  function row(number) {
    const line = document.createElement("div");
    line.className = "mm-cells";
    line.style.gap = `${CELL_GAP}px`;
    for (let at = number * across; at < Math.min(points.length, (number + 1) * across); at++) line.append(cell(at));
    return line;
  }

  function cell(at) {
    const [button, thumb, label, origin] = ["button", "span", "span", "small"].map((tag) => document.createElement(tag));
    button.type = "button";
    button.className = "mm-cell";
    button.dataset.at = at;
    button.style.width = `${side}px`;
    button.ariaLabel = sentences.open.replace("{}", at + 1); // until its record is there
    thumb.className = "mm-thumb";
    label.className = "mm-cell-label";
    button.append(thumb, label, origin);
    return button;
  }

  // Fills the rows that the scrolling rests on; a row may be gone before its records are there.
  async function settled(numbers) {
    const empty = numbers.flatMap((number) => [...(rows.row(number)?.children ?? [])]).filter((button) => !button.dataset.filled);
    const wanted = empty.map((button) => points[button.dataset.at]);
    for (const button of empty) button.dataset.filled = "asked";
    const known = await data.records(wanted);
    known.forEach((record, i) => fill(empty[i], wanted[i], record));
  }

  function fill(button, point, record) {
    const [thumb, label, origin] = button.children;
    button.ariaLabel = null;
    button.title = sentences.open.replace("{}", record.case);
    label.textContent = record.label;
    origin.textContent = `${record.modality_name} · ${record.source}`;
    framed(thumb, data.picture(point), () => drawing(record.modality));
  }

  box.addEventListener("click", (event) => {
    const point = points[event.target.closest(".mm-cell")?.dataset.at];
    if (point !== undefined) on.open(point, event);
  });
  const pointed = (event) => on.point(points[event.target.closest(".mm-cell")?.dataset.at] ?? -1);
  box.addEventListener("pointerover", pointed);
  box.addEventListener("focusin", pointed);
  for (const gone of ["pointerleave", "focusout"]) box.addEventListener(gone, () => on.point(-1));

  function refresh() {
    measure();
    rows.show(Math.ceil(points.length / across));
  }
  let width = 0;
  new ResizeObserver(() => {
    if (!box.clientWidth) return; // it is hidden for a while
    if (box.clientWidth !== width) refresh();
    width = box.clientWidth;
  }).observe(box);
  return {
    show(wanted) {
      points = wanted;
      refresh();
    },
  };
}

// Puts a picture into a frame, or the drawing of a case whose picture is not here.
function framed(frame, address, drawn) {
  if (!address) return frame.replaceChildren(drawn());
  const image = new Image();
  image.alt = "";
  image.decoding = "async";
  image.onerror = () => image.isConnected && frame.replaceChildren(drawn());
  image.src = address;
  return frame.replaceChildren(image);
}
