// The map of the collection: its columns, its legend, the case under the pointer, the selection, the address.
const { sentences, bounds, palette, ramp } = props;
const part = (selector) => element.querySelector(selector);
const stage = part(".mm-map");
const columns = new Map(); // address → promise of its bytes
const tips = new Map();
const pictures = new Map();
let [map, shown, steps, hovered, tool, way] = [null, null, [], -1, "pan", "new"];

const dark = () => Boolean(element.closest(".dark"));
const grey = () => (dark() ? "#7c8694" : "#8a8f98");

function column(address) {
  if (!columns.has(address)) columns.set(address, fetch(address).then((answer) => {
    if (!answer.ok) throw new Error(String(answer.status));
    return answer.arrayBuffer();
  }));
  return columns.get(address);
}

function countsOf(codes, selected) {
  const counts = new Uint32Array(256);
  for (let i = 0; i < codes.length; i++) if (selected[i]) counts[codes[i]]++;
  return counts;
}

async function begin() {
  map = createMap(stage, { extent: [bounds[2], bounds[3]], kind: stage.dataset.painter, onView: viewed });
  if (!map.painter) return undrawn(sentences.unpainted);
  if (map.painter === "pixels") part(".mm-map-software").hidden = false;
  stage.map = map; // for tests and benchmarks
  mapGestures(stage, part("polygon"), map, { tool: () => tool, on: { hover, pick, around, escape: () => select([]) } });
  new ResizeObserver(() => stage.clientWidth && map.fit()).observe(stage);
  try {
    map.load(new Uint16Array(await column(`${props.columns}/places`)));
    await colour();
    await restore();
  } catch (error) {
    undrawn(sentences.unloaded.replace("{}", error.message));
  }
  return undefined;
}

// Where there is no map there is its table, and a sentence that says why.
function undrawn(why) {
  part(".mm-map-wait").textContent = why;
  part(".mm-map-wait").hidden = false;
  trigger("select", { points: [], bits: "", all: true });
}

async function colour() {
  if (!map?.count || !props.value) return;
  const value = props.value;
  const codes = new Uint8Array(await column(`${props.columns}/${value.column}`));
  if (value.column !== props.value.column) return; // another was asked for in the meantime
  if (shown?.column !== value.column) legend.show(value);
  shown = value;
  repaint({ codes });
  part(".mm-map-wait").hidden = true;
}

function repaint({ codes = map.codes, selected = map.selected }) {
  const some = selected.includes(1);
  const counts = some ? countsOf(codes, selected) : null;
  const hues = huesOf(shown, { palette, ramp, codes: props.codes, grey: grey() }, counts);
  const background = hueOf(dark() ? "#0f1622" : "#ffffff");
  map.show({ codes, selected, hues, background, dim: hueOf(dark() ? "#333d4b" : "#dce1e7") });
  legend.mark(hues, counts, shown.groups);
  const [few, all] = [map.chosen, map.count].map((count) => count.toLocaleString("en"));
  part(".mm-map-count").textContent = some ? sentences.chosen.replace("{}", few).replace("{}", all) : sentences.all.replace("{}", all);
}

// A selection is the steps that led to it, so that one can be undone and an address can hold them all. A step is
// how (new, add, remove, invert), what (around corners, class of a column, point) and its numbers.
async function select(wanted) {
  steps = wanted;
  const flags = new Uint8Array(map.count);
  for (const { how, what, numbers } of steps) {
    const found = how === "invert" ? null : await flagsOf(what, numbers);
    const now = { new: (_, hit) => hit, add: (was, hit) => was | hit, remove: (was, hit) => was & ~hit, invert: (was) => was ^ 1 }[how];
    for (let i = 0; i < flags.length; i++) flags[i] = now(flags[i], found?.[i]);
  }
  repaint({ selected: flags });
  remember();
  send(flags);
}

async function flagsOf(what, numbers) {
  if (what === "around") return map.within(numbers.flatMap((x, i) => (i % 2 ? [] : [[x, numbers[i + 1]]])));
  const flags = new Uint8Array(map.count);
  if (what === "point") flags[numbers[0]] = 1;
  if (what !== "class") return flags;
  const codes = new Uint8Array(await column(`${props.columns}/${numbers[0]}`));
  for (let i = 0; i < flags.length; i++) flags[i] = Number(codes[i] === numbers[1]);
  return flags;
}

function step(what, numbers, how) {
  const taken = how ?? way;
  return select([...(taken === "new" ? [] : steps), { how: taken, what, numbers }]);
}
const pick = (point, how) => step("point", [point], how);
const around = (polygon, how) => step("around", polygon.flatMap((corner) => map.place(corner).map(Math.round)), how);
const press = (code, pressed, event) => {
  const held = event.shiftKey ? "add" : event.altKey ? "remove" : null;
  return step("class", [shown.column, code], pressed ? "remove" : held);
};

const MOST_POINTS = 1000; // more are sent as bits
function send(flags) {
  if (map.chosen <= MOST_POINTS) {
    const points = [];
    for (let i = flags.indexOf(1); i >= 0; i = flags.indexOf(1, i + 1)) points.push(i);
    return trigger("select", { points, bits: "", all: false });
  }
  const packed = new Uint8Array(Math.ceil(flags.length / 8));
  for (let i = 0; i < flags.length; i++) packed[i >> 3] |= flags[i] << (i & 7);
  let text = "";
  for (let i = 0; i < packed.length; i += 8192) text += String.fromCharCode(...packed.subarray(i, i + 8192));
  return trigger("select", { points: [], bits: btoa(text), all: false });
}

const legend = mapLegend(part(".mm-legend"), { sentences, ramp, onPress: press });

async function hover(point, at) {
  const note = part(".mm-tip");
  stage.style.cursor = point >= 0 ? "pointer" : "";
  if (point === hovered) return;
  hovered = point;
  note.hidden = true;
  if (point < 0) return;
  if (!tips.has(point)) {
    await new Promise((done) => setTimeout(done, 40)); // a pointer that only passes asks for nothing
    if (hovered !== point) return;
    tips.set(point, await server.hovered(point));
  }
  if (hovered !== point || !tips.get(point)) return;
  note.innerHTML = tips.get(point); // from a template that escapes every name
  note.hidden = false;
  const [left, top] = [at[0] + stage.offsetLeft, at[1] + stage.offsetTop];
  note.style.left = `${Math.max(0, Math.min(left + 14, element.clientWidth - note.offsetWidth))}px`;
  note.style.top = `${Math.max(0, top - note.offsetHeight - 14)}px`;
}

function viewed() {
  const star = part(".mm-star");
  const point = props.value?.point;
  star.hidden = !point;
  if (point) {
    const at = point.map((value, axis) => ((value - bounds[axis]) / bounds[axis + 2]) * SPAN);
    const [x, y] = map.locate(at);
    star.style.transform = `translate(${x}px, ${y}px)`;
    star.querySelector("b").textContent = sentences.yours;
  }
  remember();
  depict();
}

// Pictures instead of points where few are in view.
let depicting = 0;
function depict() {
  const box = part(".mm-pictures");
  box.replaceChildren();
  clearTimeout(depicting);
  if (!props.pictured || map.view.zoom <= 1) return;
  depicting = setTimeout(async () => {
    const found = map.inView(props.most_pictures);
    if (!found?.length) return;
    const missing = found.filter((point) => !pictures.has(point));
    if (missing.length) (await server.pictures(missing)).forEach((uri, i) => pictures.set(missing[i], uri));
    const { x, y, zoom } = map.view;
    box.replaceChildren();
    for (const point of found) {
      if (!pictures.get(point)) continue;
      const image = new Image();
      image.src = pictures.get(point);
      image.alt = "";
      image.style.transform = `translate(${map.locate(point).map((value) => `${value}px`).join(",")}) translate(-50%, -50%)`;
      box.append(image);
    }
    if (x !== map.view.x || y !== map.view.y || zoom !== map.view.zoom) box.replaceChildren();
  }, 200);
}

// The address holds view, colouring and selection, so that another browser opens the same:
// x.y.thousandths of zoom.column, then a part a step, such as na1.2.3.4.5.6 for new, around three corners.
const WAYS = { n: "new", a: "add", r: "remove", i: "invert" };
const THINGS = { a: "around", c: "class", p: "point" };
let remembering = 0;
function remember() {
  clearTimeout(remembering);
  remembering = setTimeout(() => {
    if (!shown || !stage.clientWidth) return;
    const { x, y, zoom } = map.view;
    const view = [x, y, 1000 * zoom].map(Math.round);
    const parts = steps.map(({ how, what, numbers }) => how[0] + (what ?? "")[0] + (numbers ?? []).join("."));
    const plain = zoom === 1 && !steps.length && !shown.column;
    const here = location.pathname + location.search;
    history.replaceState(history.state, "", plain ? here : `${here}#map=${[[...view, shown.column].join("."), ...parts].join("*")}`);
  }, 300);
}

async function restore() {
  const [view, ...parts] = (location.hash.match(/^#map=([\dacinpr.*-]+)$/)?.[1] ?? "").split("*");
  const [x, y, zoom, number] = view.split(".").map(Number);
  if (!(zoom > 0)) return;
  map.lookAt({ x, y, zoom: zoom / 1000 });
  const read = parts.map((written) => written.match(/^([nari])([acp]?)(.*)$/)).filter(Boolean);
  if (read.length)
    await select(read.map(([, how, what, numbers]) => ({ how: WAYS[how], what: THINGS[what], numbers: numbers.split(".").map(Number) })));
  trigger("input", { column: number });
}

element.addEventListener("click", (event) => {
  const button = event.target.closest(".mm-map-tools button");
  if (!button || !map?.count) return;
  const turn = (name) => {
    for (const other of element.querySelectorAll(`button[data-${name}]`)) other.ariaPressed = String(other === button);
    return button.dataset[name];
  };
  if (button.dataset.tool) stage.dataset.tool = tool = turn("tool");
  else if (button.dataset.how) way = turn("how");
  else ({
    invert: () => select([...steps, { how: "invert" }]),
    clear: () => select([]),
    undo: () => steps.length && select(steps.slice(0, -1)),
    fit: () => map.lookAt({ x: SPAN / 2, y: SPAN / 2, zoom: 1 }),
    nearer: () => map.lookAt({ zoom: map.view.zoom * 1.5 }),
    farther: () => map.lookAt({ zoom: map.view.zoom / 1.5 }),
  })[button.dataset.do]();
});

watch("value", () => {
  colour();
  map?.redraw();
});
begin();
