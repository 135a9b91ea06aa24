// The map of the collection and the views linked with it: colours, the selection that all show, the address.
const { sentences, bounds, palette, ramp, cases } = props;
const part = (selector) => element.querySelector(selector);
const stage = part(".mm-map");
const data = props.data ?? servedData(props);
let [labels, pictures, gestures, beside] = [null, null, null, null];
const MOST_EARLIER = 100;
let earlier = []; // selections
let [map, shown, steps, tool, way, flags] = [null, null, [], "pan", "new", new Uint8Array(cases)];

const dark = () => Boolean(element.closest(".dark"));
const grey = () => (dark() ? "#7c8694" : "#8a8f98");
const drawing = (modality) => part(`template[data-drawing="${CSS.escape(modality)}"]`).content.cloneNode(true);

function countsOf(codes, selected) {
  const counts = new Uint32Array(256);
  for (let i = 0; i < codes.length; i++) if (selected[i]) counts[codes[i]]++;
  return counts;
}

const opened = openedCase(element, {
  data, mark: markBoth, on: { open: (id, point) => trigger("select", { pick: id, point }), failed },
});
const views = walkViews(part(".mm-walk"), {
  data, cases, drawing, props, sentences,
  on: { open: pickByHand, point: ringBoth, span: pressedSpan, light: (points) => step("points", points, "new"), selection, address, restore, tagged, changed },
});
const bar = filterBar(part(".mm-filter"), {
  data: { facts: factsOfBoth }, columns: props.names, sentences: { ...sentences, ...props.beside?.sentences }, on: { change: select },
});
selectionExport(part(".mm-walk"), { data, sentences, bits: () => selection(false).bits });
const legend = mapLegend(part(".mm-legend"), { sentences, ramp, onPress: press });
data.making?.(making);
const say = (sentence) => { part(".mm-map-said").textContent = sentence; };
const tipOf = (map, itsData) => mapTip(part(".mm-tip"), element, map, { data: itsData, drawing, say, nothing: sentences.nothing_here });
const hover = tipOf(stage, data);

async function begin() {
  map = createMap(stage, { extent: [bounds[2], bounds[3]], kind: stage.dataset.painter, onView: viewed });
  if (!map.painter) return undrawn(sentences.unpainted);
  if (map.painter === "pixels") part(".mm-map-software").hidden = false;
  stage.map = map; // for tests and benchmarks
  labels = mapLabels(stage, map, props.clusters);
  pictures = mapPictures(stage, map, { data, pictured: props.pictured, most: props.most_pictures });
  gestures = mapGestures(stage, map, { tool: () => tool, sentences, on: { hover: pointedAt, pick, around, escape, say } });
  if (props.beside) beginBeside();
  labelsButton(part(".mm-map-tools"), [labels, ...(beside ? [beside.labels] : [])], sentences);
  new ResizeObserver(() => stage.clientWidth && map.fit()).observe(stage);
  try {
    const [places] = await Promise.all([data.places(), beside?.load().catch(lost)]);
    map.load(places);
    await colour();
    await restore();
  } catch (error) {
    undrawn(sentences.unloaded.replace("{}", error.message));
  }
  return undefined;
}

// A second collection's map takes part in everything; where it cannot be loaded the first goes on alone.
function beginBeside() {
  beside = besideMap(part("[data-beside]"), {
    facts: { ...props.beside, rewritten: props.rewritten, most_pictures: props.most_pictures }, cases, kind: stage.dataset.painter, tool: () => tool, first: flagsOf,
    tip: tipOf, keySentences: sentences,
    on: { say, ring, pick, around: (corners, how) => step("beside", corners, aroundHow(how)), escape },
  });
  overlapView(part(".mm-overlap"), { data: beside.data, sentences: props.beside.sentences });
}
function lost(error) {
  beside.failed(error);
  beside = null;
}
const maps = () => (beside ? [map, beside.map] : [map]);
const flagsOf = (wanted) => flagsOfStep(wanted, cases, { within: map.within, beside, data });
// The facts of a column, with the groups that only the second map has.
async function factsOfBoth(column) {
  const [facts, groups] = await Promise.all([data.facts(column), beside?.groups(column)]);
  return { ...facts, groups: [...facts.groups, ...(groups ?? [])] };
}

// Where there is no map there is its table, and a sentence that says why.
function undrawn(why) {
  part(".mm-map-wait").textContent = why;
  part(".mm-map-wait").hidden = false;
  views.open("list");
}

async function colour({ again = false } = {}) {
  if (!map?.count || !props.value) return undefined;
  let value = props.value;
  let [codes, others] = [];
  try {
    codes = await data.column(value.column);
    if (value.pending || again) value = { ...value, pending: false, ...(await data.facts(value.column)) };
    others = await beside?.column(value.column);
    value = { ...value, groups: [...value.groups, ...(others?.groups ?? [])] };
  } catch (error) {
    if (!value.pending) throw error;
    if (error.givenUp && shown) return trigger("input", { column: shown.column }); // as it was before
    return value.column === props.value.column && legend.say(sentences.failed.replace("{}", error.message));
  }
  if (value.column !== props.value.column) return undefined; // another was asked for in the meantime
  beside?.take(others);
  if (again || shown?.column !== value.column) legend.show(value);
  legend.say(value.about);
  shown = value;
  repaint({ codes, selected: flags });
  part(".mm-map-wait").hidden = true;
  return undefined;
}

// How far the server is with a column that takes long.
function making(state) {
  const [box, bar] = [part(".mm-making"), part(".mm-making progress")];
  box.hidden = !state;
  if (!state) return;
  bar.max = state.total || 1;
  if (state.total) bar.value = state.done;
  else bar.removeAttribute("value");
  const { step, seconds_left: left } = state;
  box.querySelector("small").textContent = left === null ? sentences.made.replace("{}", step) : sentences.made_left.replace("{}", step).replace("{}", left);
}

function repaint({ codes = map.codes, selected = map.selected }) {
  if (!shown) return; // somebody selects before the colours are there, which then show it
  const counts = steps.length ? countsOf(codes, selected) : null;
  if (counts) beside?.count(counts);
  const hues = huesOf(shown, { palette, ramp, codes: props.codes, grey: grey() }, counts);
  const background = hueOf(dark() ? "#0f1622" : "#ffffff");
  const dim = hueOf(dark() ? "#333d4b" : "#dce1e7");
  const none = steps.length && !selected.includes(1); // the map itself takes no selection for all
  map.show({ codes, selected, hues: none ? hues.map(() => dim) : hues, background, dim });
  beside?.show(Boolean(steps.length), { hues, background, dim });
  legend.mark(hues, counts, shown.groups);
}

function failed(error) {
  legend.say(sentences.failed.replace("{}", error.message));
}

// Selects what some steps lead to, in every view; what was selected before can be had back.
async function select(wanted, { undoing = false } = {}) {
  const before = steps;
  steps = wanted;
  let [found, others] = [];
  try {
    [found, others] = await Promise.all([flagsAfter(wanted, cases, flagsOf), beside?.flagsAfter(wanted)]);
  } catch (error) {
    if (steps === wanted) steps = before;
    failed(error);
    return;
  }
  if (steps !== wanted) return; // another was asked for in the meantime
  flags = found;
  if (!undoing) earlier = [...earlier.slice(1 - MOST_EARLIER), before];
  beside?.take({ flags: others });
  if (map.count) repaint({ selected: flags });
  tell();
  remember();
}

function tell() {
  const count = flags.reduce((sum, flag) => sum + flag, 0);
  const [few, all] = [count, cases].map((number) => number.toLocaleString(document.documentElement.lang));
  part(".mm-map-count").textContent = steps.length ? sentences.chosen.replace("{}", few).replace("{}", all) : sentences.all.replace("{}", all);
  bar.show(steps, count, cases);
  beside?.tell(Boolean(steps.length));
  views.show(steps.length ? flags : null, count);
}

function step(what, numbers, how) {
  const taken = how ?? way;
  const first = !steps.length && ["keep", "add"].includes(taken);
  return select([...(taken === "new" ? [] : steps), { how: first ? "new" : taken, what, numbers }]);
}
// A press opens a case and leaves the selection as it is, unless held keys or the tools say that it chooses.
function pick(point, how) {
  const wanted = how ?? (way === "new" ? null : way);
  if (wanted === "keep") return step("points", [point], wanted);
  if (wanted) return choose(point, wanted);
  if (point < cases) {
    for (const leave of [hover, beside?.hover]) leave?.(-1); // what a finger showed would lie there on coming back
    return opened.open(point);
  }
  say(props.beside.sentences.beside_only);
  return legend.say(props.beside.sentences.beside_only);
}
const choose = (point, how) => select(withPoint(steps, point, how === "toggle" ? (flags[point] ? "remove" : "add") : how));
// Outside the maps their tools say nothing.
function pickByHand(point, event) {
  const how = heldKeys(event);
  return how ? choose(point, how) : opened.open(point);
}
const aroundHow = (how) => (how === "toggle" ? "add" : how);
const around = (polygon, how) => step("around", polygon.flatMap((corner) => map.place(corner).map(Math.round)), aroundHow(how));
const held = (event) => aroundHow(heldKeys(event));
function press(code, pressed, event) {
  return step("class", [shown.column, code], pressed ? "remove" : held(event));
}
// A bar counts what is selected, so that a press on it narrows the selection down.
function pressedSpan(column, { from, to }, event) {
  const how = held(event) ?? (way === "new" && steps.length ? "keep" : null);
  return from === to ? step("class", [column, from], how) : step("span", [column, from, to], how);
}

// Selects the cases that have a tag, or a note where it is "".
function tagged(tag) {
  const how = steps.length ? way : "new";
  return select([...(how === "new" ? [] : steps), { how, what: "given", text: tag }]);
}
// People wrote something: what shows it is drawn anew.
async function changed() {
  beside?.data.forget();
  if (props.rewritten.includes(shown?.column)) await colour({ again: true });
  await select([...steps], { undoing: true });
}

// What is selected, or everything else, in words and as bits; without a selection all cases.
function selection(others) {
  const all = steps.length ? flags : flags.map(() => 1);
  return { words: bar.words(others), bits: packedText(others ? all.map((flag) => 1 - flag) : all) };
}

function viewed() {
  gestures?.outlined();
  labels?.draw();
  const star = part(".mm-star");
  const point = props.value?.point;
  star.hidden = !point;
  if (point) {
    const at = point.map((value, axis) => ((value - bounds[axis]) / bounds[axis + 2]) * SPAN);
    const [x, y] = map.locate(at);
    star.style.transform = `translate(${x}px, ${y}px)`;
    star.classList.toggle("mm-below", y < 40); // its words would be cut off above
    star.querySelector("b").textContent = sentences.yours;
  }
  ring(-1);
  opened.marked();
  remember();
  pictures?.draw();
}

// Where on the map the case is that is pointed at in another view.
function ring(point) {
  markAt(part(".mm-ring"), map, point);
}
function markBoth(point) {
  markAt(part(".mm-opened"), map, point);
  beside?.mark(point);
}

function ringBoth(point) {
  ring(point);
  beside?.ring(point);
}
function pointedAt(point, at, byKeys) {
  hover(point, at, byKeys);
  beside?.ring(point);
}

// The address holds view, colouring and selection, so that another browser opens the same:
// x.y.thousandths of zoom.column, then a part a step.
function address() {
  const { x, y, zoom } = map.view;
  return `#map=${[[...[x, y, 1000 * zoom].map(Math.round), shown.column].join("."), ...steps.map(writtenStep)].join("*")}`;
}

// Of the map as it was opened: the tab that it is on, an exported page has none.
const untouched = element.closest("[role=tabpanel]") ? "#explore" : "";
let remembering = 0;
function remember() {
  clearTimeout(remembering);
  remembering = setTimeout(() => {
    if (!shown || !stage.clientWidth) return;
    const plain = map.view.zoom === 1 && !steps.length && !shown.column;
    history.replaceState(history.state, "", location.pathname + location.search + (plain ? untouched : address()));
  }, 300);
}

async function restore(written = location.hash) {
  const [view, ...parts] = (written.match(/^#map=(\S+)$/)?.[1] ?? "").split("*");
  const [x, y, zoom, number] = view.split(".").map(Number);
  if (!(zoom > 0)) return;
  map.lookAt({ x, y, zoom: zoom / 1000 });
  const read = parts.map(readStep).filter(Boolean);
  if (read.length || steps.length) await select(read, { undoing: !steps.length });
  trigger("input", { column: number });
}

const clear = () => select([]);
const escape = () => (steps.length ? clear() : opened.forget());
// A selection that came with the address is taken back step by step.
const undo = () => (earlier.length || steps.length) && select(earlier.pop() ?? steps.slice(0, -1), { undoing: true });

// On the map and its tools, where the pointer or a key left off; fields for text have an undo of their own.
element.addEventListener("keydown", (event) => {
  if (!map?.count || !event.target.closest(".mm-map-tools, .mm-map")) return;
  if ((event.ctrlKey || event.metaKey) && !event.shiftKey && event.key.toLowerCase() === "z") undo();
  else if (event.key === "Escape" && event.target.closest(".mm-map-tools")) clear(); // the map has its own
  else return;
  event.preventDefault();
});

element.addEventListener("click", (event) => {
  const button = event.target.closest(".mm-map-tools button");
  if (!button || !map?.count) return undefined;
  if (button.closest(".mm-making")) return data.giveUp();
  const turn = (name) => {
    for (const other of element.querySelectorAll(`button[data-${name}]`)) other.ariaPressed = String(other === button);
    return button.dataset[name];
  };
  if (button.dataset.tool) {
    tool = turn("tool");
    for (const each of element.querySelectorAll(".mm-map")) each.dataset.tool = tool;
  }
  else if (button.dataset.how) way = turn("how");
  else ({
    invert: () => select([...steps, { how: "invert" }]),
    clear,
    undo,
    fit: () => maps().forEach((each) => each.lookAt({ x: SPAN / 2, y: SPAN / 2, zoom: 1 })),
    nearer: () => maps().forEach((each) => each.lookAt({ zoom: each.view.zoom * 1.5 })),
    farther: () => maps().forEach((each) => each.lookAt({ zoom: each.view.zoom / 1.5 })),
  })[button.dataset.do]();
  return undefined;
});

watch("value", () => {
  colour();
  map?.redraw();
});
tell();
begin();
