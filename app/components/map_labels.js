// Names and outlines of clusters over a map, of the level that suits the zoom. A name is left out where a larger
// cluster's name is in its way. It knows neither Gradio nor medicine.
const FINER_FROM = [1, 1.8, 4]; // the zoom from which each level is shown, from coarse to fine
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
    names = [...levels[level]].sort((one, other) => other.count - one.count).map(({ name, at }) => {
      const label = document.createElement("span");
      label.textContent = name; // as text: a name never becomes markup
      box.append(label);
      return { label, at, width: label.offsetWidth, height: label.offsetHeight };
    });
    const outlines = levels[level].flatMap((cluster) => cluster.outlines);
    lines.setAttribute("d", outlines.map((line) => `M${line.join(" ")}Z`).join(""));
  }

  function draw() {
    if (box.hidden || !levels.length || !stage.clientWidth) return;
    const level = levelAt(map.view.zoom);
    if (level !== shown || !names[0]?.width) begin(level);
    const [[left, top], [right, bottom]] = [map.locate([0, 0]), map.locate([SPAN, SPAN])];
    lines.setAttribute("transform", `matrix(${(right - left) / SPAN} 0 0 ${(bottom - top) / SPAN} ${left} ${top})`);
    const taken = [];
    for (const { label, at, width, height } of names) {
      const [x, y] = map.locate(at);
      const [from, to, over, under] = [x - width / 2 - 4, x + width / 2 + 4, y - height / 2 - 2, y + height / 2 + 2];
      const fits = from >= 0 && over >= 0 && to <= stage.clientWidth && under <= stage.clientHeight;
      const free = fits && taken.every(([f, t, o, u]) => to < f || from > t || under < o || over > u);
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
