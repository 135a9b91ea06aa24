// Names and outlines of clusters over a map, of the level that suits the zoom. A name is left out where a larger
// cluster's name is in its way. It knows neither Gradio nor medicine.
const FINER_FROM = [1, 1.8, 4]; // the zoom from which each level is shown, from coarse to fine
const SMALL = 3; // heights of a name below which it would hide a cluster, and stands above it
const GAP = 5; // px between a name and the cluster below it
const LINES = "http://www.w3.org/2000/svg";

function mapLabels(stage, map, levels) {
  const box = document.createElement("div");
  box.className = "mm-labels";
  box.ariaHidden = "true"; // the legend says the same
  const drawing = document.createElementNS(LINES, "svg");
  const lines = document.createElementNS(LINES, "path");
  drawing.append(lines);
  box.append(drawing);
  stage.querySelector("svg").before(box);
  let [shown, names] = [-1, []];

  const levelAt = (zoom) => Math.max(0, Math.min(levels.length - 1, FINER_FROM.findLastIndex((from) => zoom >= from)));

  function begin(level) {
    shown = level;
    for (const { label } of names) label.remove();
    names = [...levels[level]].sort((one, other) => other.count - one.count).map(({ name, at, outlines }) => {
      const label = document.createElement("span");
      label.textContent = name; // as text: a name never becomes markup
      box.append(label);
      return { label, at, ends: endsAround(at, outlines), width: label.offsetWidth, height: label.offsetHeight };
    });
    const outlines = levels[level].flatMap((cluster) => cluster.outlines);
    lines.setAttribute("d", outlines.map((line) => `M${line.join(" ")}Z`).join(""));
  }

  // The middle of a name: over its cluster, or above it where it would hide it, and never cut off by the edge of
  // the map; null where the cluster is out of view.
  function placeOf({ at, ends, width, height }) {
    const [wide, tall] = [stage.clientWidth, stage.clientHeight];
    const [x, middle] = map.locate(at);
    if (x < 0 || middle < 0 || x > wide || middle > tall) return null;
    const [top, bottom] = ends.map((y) => map.locate([at[0], y])[1]).sort((one, other) => one - other);
    const above = top - GAP - height / 2;
    const title = stage.querySelector(".mm-map-name"); // the map's own
    const from = title ? title.offsetTop + title.offsetHeight : 0;
    const y = bottom - top > SMALL * height ? middle : above < from + height / 2 ? bottom + GAP + height / 2 : above;
    const inside = (value, size, first, last) => Math.min(Math.max(value, first + size / 2 + 2), last - size / 2 - 2);
    return [inside(x, width, 0, wide), inside(y, height, from, tall)];
  }

  function draw() {
    if (box.hidden || !levels.length || !stage.clientWidth) return;
    const level = levelAt(map.view.zoom);
    if (level !== shown || !names[0]?.width) begin(level);
    const [[left, top], [right, bottom]] = [map.locate([0, 0]), map.locate([SPAN, SPAN])];
    lines.setAttribute("transform", `matrix(${(right - left) / SPAN} 0 0 ${(bottom - top) / SPAN} ${left} ${top})`);
    const taken = [];
    for (const each of names) {
      const { label, width, height } = each;
      const place = placeOf(each);
      const [x, y] = place ?? [0, 0];
      const [from, to, over, under] = [x - width / 2 - 4, x + width / 2 + 4, y - height / 2 - 2, y + height / 2 + 2];
      const free = place && taken.every(([f, t, o, u]) => to < f || from > t || under < o || over > u);
      label.style.visibility = free ? "visible" : "hidden";
      if (!free) continue;
      taken.push([from, to, over, under]);
      label.style.transform = `translate(${x - width / 2}px, ${y - height / 2}px)`;
    }
  }

  return {
    levels: levels.length,
    draw,
    show(wanted) {
      box.hidden = !wanted;
      draw();
    },
  };
}

// The lowest and highest y of the outline around a place, the place's own where none is.
function endsAround([x, y], outlines) {
  for (const line of outlines) {
    const [xs, ys] = [0, 1].map((axis) => line.filter((_, i) => i % 2 === axis));
    const [left, right, low, high] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
    if (left <= x && x <= right && low <= y && y <= high) return [low, high];
  }
  return [y, y];
}

// Adds the button that shows and hides the names on one map or on several; none where no map has any.
function labelsButton(toolbar, labels, sentences) {
  if (!labels.some(({ levels }) => levels)) return;
  const button = document.createElement("button");
  Object.assign(button, { type: "button", textContent: sentences.cluster_names, title: sentences.cluster_names_hint, ariaPressed: "true" });
  button.addEventListener("click", (event) => {
    event.stopPropagation();
    const wanted = button.ariaPressed !== "true";
    button.ariaPressed = String(wanted);
    for (const each of labels) each.show(wanted);
  });
  const group = document.createElement("span");
  group.append(button);
  toolbar.querySelector(".mm-map-count").before(group);
}
