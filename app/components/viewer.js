// The visitor's picture: what is looked at (here), what the model saw (told by the server), and the way between.
const { sentences, address, preset_names: presetNames } = props;
const part = (selector) => element.querySelector(selector);
const stage = part(".mm-look");
const HELD = 40; // pictures that stay in the browser's memory, as long as they are small
const HELD_BYTES = 2e8;
let [value, mode, loading, leafed] = [null, "move", 0, 0];
let view = null; // {stack, position, window, inverted, region, covered}: as the server means it
const held = new Map();

const ask = (what) => fetch(address, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(what) });
const say = (sentence, ...words) => words.reduce((text, word) => text.replace("{}", word), sentences[sentence]);
const number = (amount) => Number(amount.toPrecision(4)).toLocaleString(document.documentElement.lang, { maximumFractionDigits: 3 });
const stackOf = (which) => value.stacks[which.stack];
const named = (stack) => (stack.count > 1 ? say("file", stack.name, stack.count) : stack.name);

const picture = createPicture(part("canvas"), drawn);
const strip = createStrip(part(".mm-strip"), { ask, name: named, onPick: (stack) => open(stack) });
stage.viewer = { picture, get view() { return view; } }; // for tests

async function fetched(stack, position) {
  const key = `${value.visit}/${stack}/${position}`;
  if (!held.has(key)) {
    held.set(key, ask({ visit: value.visit, stack, position }).then(async (answer) => {
      if (answer.status === 422) throw new Error(await answer.text());
      if (!answer.ok) throw new Error(sentences.gone);
      return unpackPicture(await answer.arrayBuffer());
    }));
    held.get(key).catch(() => held.delete(key));
    while (held.size > HELD) held.delete(held.keys().next().value);
  }
  const found = await held.get(key);
  const most = Math.max(3, HELD_BYTES / (found.width * found.height * 4));
  while (held.size > most) held.delete(held.keys().next().value);
  return found;
}

// Shows the picture of the view; a later call overtakes an earlier one.
async function load() {
  const turn = ++loading;
  const wait = part(".mm-look-wait");
  try {
    const found = await fetched(view.stack, view.position);
    if (turn !== loading) return;
    const other = found.kind !== picture.picture?.kind;
    picture.show(found, view);
    if (other && mode !== "region") setMode(found.kind === "grey" ? "window" : "move");
    offer(found);
    compare(); // whether it has a window is known only now
    lookForText();
    wait.hidden = true;
  } catch (error) {
    if (turn !== loading) return;
    texts = []; // those of the picture before
    warn();
    wait.textContent = error.message;
    wait.hidden = false;
  }
}

// Text that is burned into the picture, looked for once nobody leafs any more.
let [texts, looking] = [[], 0];
function lookForText() {
  clearTimeout(looking);
  texts = [];
  warn();
  const { visit, stack, position } = view;
  looking = setTimeout(async () => {
    const answer = await ask({ visit, stack, position, text: true });
    const found = answer.ok ? await answer.json() : [];
    if (view.visit !== visit || view.stack !== stack || view.position !== position) return;
    texts = found;
    warn();
    picture.redraw();
  }, 600);
}
const within = (box, other) => box.left >= other.left && box.top >= other.top && box.left + box.width <= other.left + other.width && box.top + box.height <= other.top + other.height;
const bare = () => texts.filter((box) => !view.covered.some((other) => within(box, other)));
function warn() {
  part(".mm-text").hidden = !bare().length;
}

// What the server answered: a new study, or another view of the same one.
function arrived() {
  value = props.value;
  part(".mm-viewer").hidden = !value;
  if (!value) return held.clear();
  if (!view || view.visit !== value.visit) {
    held.clear();
    picture.home();
  }
  view = { ...value.view, visit: value.visit };
  strip.show(value);
  if (value.mode) setMode(value.mode);
  return changed(true);
}

function changed(fetchIt) {
  const stack = stackOf(view);
  strip.mark(view.stack);
  const slices = part(".mm-slices");
  slices.hidden = stack.count < 2;
  slices.querySelector("input").max = stack.count;
  slices.querySelector("input").value = view.position + 1;
  slices.querySelector("output").textContent = say("slice", view.position + 1, stack.count);
  slices.querySelector("input").ariaValueText = say("slice", view.position + 1, stack.count);
  if (fetchIt) load();
  else picture.look(view);
  compare();
}

const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);

// Says whether what is looked at is what the model saw.
function compare() {
  const saw = value.view;
  const alike = ["stack", "position", "window", "inverted", "region", "covered"].every((each) => same(saw[each], view[each]));
  part(".mm-saw p").textContent = `${say("saw", describe(saw))} ${alike ? "" : sentences.looking}`;
  part(".mm-analyse").disabled = alike;
}

function describe(which) {
  const words = [];
  const stack = stackOf(which);
  if (which.covered.length) words.push(sentences.covered);
  if (value.stacks.length > 1) words.push(stack.name);
  if (stack.count > 1) words.push(say("slice", which.position + 1, stack.count));
  if (picture.picture?.kind !== "colour") words.push(which.window ? windowWords(which.window) : sentences.own);
  if (which.inverted !== null) words.push(sentences.inverted);
  words.push(which.region ? say("region", which.region.width, which.region.height) : sentences.whole);
  return words.join(", ");
}

const windowWords = (window) => say("window", number(window.centre), number(window.width));

// The windows that can be chosen for this picture.
function offer(found) {
  const list = part(".mm-look-tools select");
  list.hidden = found.kind !== "grey";
  part('button[data-mode="window"]').hidden = found.kind !== "grey";
  if (found.kind !== "grey") return;
  const choices = [["", sentences.own, null]];
  found.windows.forEach((window, i) => choices.push([`file${i}`, say("fileWindow", number(window.centre), number(window.width)), window]));
  for (const [name, window] of Object.entries(found.presets)) choices.push([name, `${presetNames[name]} (${window.centre} / ${window.width})`, window]);
  list.choices = new Map(choices.map(([key, , window]) => [key, window]));
  list.replaceChildren(...choices.map(([key, name]) => new Option(name, key)), new Option(sentences.chosen, "own"));
  mark();
}

// Shows in the list which window is looked through.
function mark() {
  const list = part(".mm-look-tools select");
  const key = [...(list.choices ?? [])].find(([, window]) => same(window, view.window))?.[0];
  list.value = key ?? "own";
}

// Reads out what is looked at, once it stays as it is.
let saying = 0;
function sayView() {
  clearTimeout(saying);
  saying = setTimeout(() => { part(".mm-look-said").textContent = describe(view); }, 500);
}

function change(parts) {
  view = { ...view, ...parts };
  mark();
  changed(false);
  sayView();
}

function leaf(position) {
  const last = stackOf(view).count - 1;
  const wanted = Math.min(last, Math.max(0, position));
  if (wanted === view.position) return;
  view = { ...view, position: wanted, covered: [] };
  changed(true);
  sayView();
  for (const near of [wanted + 1, wanted - 1]) if (near >= 0 && near <= last) fetched(view.stack, near).catch(() => {});
}

// Another file is opened as its file says, and answered for.
function open(stack) {
  if (stack === view.stack || stack < 0 || stack >= value.stacks.length) return;
  view = { visit: view.visit, stack, position: value.stacks[stack].start, window: null, inverted: null, region: null, covered: [] };
  picture.home();
  changed(true);
  analyse();
}

function analyse() {
  const { visit, ...asked } = view;
  part(".mm-analyse").disabled = true;
  element.dataset.asked = JSON.stringify(asked);
  trigger("submit", {});
}

function setMode(wanted) {
  if (wanted === "window" && picture.picture?.kind !== "grey") return;
  mode = stage.dataset.mode = wanted;
  for (const button of element.querySelectorAll("[data-mode]")) if (button !== stage) button.ariaPressed = String(button.dataset.mode === wanted);
}

// Dragging over the whole stage runs through about as much as is seen.
function dragWindow(x, y) {
  const found = picture.picture;
  if (found?.kind !== "grey") return;
  const now = view.window ?? { ...found.start };
  const rate = Math.max(now.width, found.step) / 300;
  const width = Math.max(found.step, now.width + x * rate * 1.5);
  const grain = 10 ** (Math.floor(Math.log10(width)) - 3); // finer than a pixel of dragging; else -46.9705 is said
  const round = (amount) => Math.round(amount / grain) * grain;
  change({ window: { ...now, width: now.function === "LINEAR" ? Math.max(1, round(width)) : round(width), centre: round(now.centre + y * rate) } });
}

const LEAST = 16;
function boxOf([one, other]) {
  const { fullWidth, fullHeight } = picture.picture;
  const [[ax, ay], [bx, by]] = [picture.toPicture(one), picture.toPicture(other)];
  const clip = (amount, most) => Math.round(Math.min(most, Math.max(0, amount)));
  const [left, right] = [clip(Math.min(ax, bx), fullWidth), clip(Math.max(ax, bx), fullWidth)];
  const [top, bottom] = [clip(Math.min(ay, by), fullHeight), clip(Math.max(ay, by), fullHeight)];
  return { top, left, height: bottom - top, width: right - left };
}

function region(corners, done) {
  if (!picture.picture) return;
  const box = boxOf(corners);
  if (done && Math.min(box.width, box.height) < LEAST) return change({ region: null });
  return change({ region: box });
}

// Shift with arrows does what dragging does; with Alt it changes the size of the region.
function nudge([x, y], size) {
  if (mode === "move") return picture.moveBy(-x, -y);
  if (mode === "window") return dragWindow(x, y);
  const { fullWidth, fullHeight } = picture.picture;
  if (!view.region) return change({ region: { top: Math.round(fullHeight / 4), left: Math.round(fullWidth / 4), height: Math.round(fullHeight / 2), width: Math.round(fullWidth / 2) } });
  const box = { ...view.region };
  const [across, down] = [Math.sign(x) * Math.ceil(fullWidth / 40), Math.sign(y) * Math.ceil(fullHeight / 40)];
  if (size) [box.width, box.height] = [Math.max(LEAST, Math.min(fullWidth - box.left, box.width + across)), Math.max(LEAST, Math.min(fullHeight - box.top, box.height + down))];
  else [box.left, box.top] = [Math.max(0, Math.min(fullWidth - box.width, box.left + across)), Math.max(0, Math.min(fullHeight - box.height, box.top + down))];
  return change({ region: box });
}

const ACTIONS = {
  nearer: () => picture.zoomAt(1.4),
  farther: () => picture.zoomAt(1 / 1.4),
  // As the file asks, or the other way round.
  invert: () => change({ inverted: view.inverted === null ? !picture.picture?.inverted : null }),
  whole: () => change({ region: null }),
  // Print that was not found; without a region one is to be drawn first.
  blacken: () => {
    if (!view.region) return setMode("region");
    change({ covered: [...view.covered, view.region], region: null });
    return warn();
  },
  reset: () => {
    picture.home();
    change({ window: null, inverted: null, region: null, covered: value.view.covered });
  },
  analyse: () => part(".mm-analyse").disabled || analyse(),
};

// What stands on the stage and under it: the region, the window, the size.
function drawn() {
  const found = picture.picture;
  const frame = part(".mm-region");
  frame.hidden = !view?.region;
  if (view?.region) {
    const { top, left, width, height } = view.region;
    const [[x, y], [right, bottom]] = [picture.toStage([left, top]), picture.toStage([left + width, top + height])];
    Object.assign(frame.style, { left: `${x}px`, top: `${y}px`, width: `${right - x}px`, height: `${bottom - y}px` });
  }
  part(".mm-marks").replaceChildren(...bare().map((box) => {
    const [[x, y], [right, bottom]] = [picture.toStage([box.left, box.top]), picture.toStage([box.left + box.width, box.top + box.height])];
    const mark = document.createElement("i");
    Object.assign(mark.style, { left: `${x}px`, top: `${y}px`, width: `${right - x}px`, height: `${bottom - y}px` });
    return mark;
  }));
  const lines = [];
  if (found.kind === "grey") {
    const window = view.window ?? found.start;
    lines.push(`C ${number(window.centre)}  W ${number(window.width)}${found.unit ? ` ${found.unit}` : ""}`);
  }
  const size = [`${found.fullWidth} × ${found.fullHeight}`, `${Math.round(picture.scale * 100)} %`];
  if (found.width < found.fullWidth) size.push(say("reduced", Math.round((100 * found.width) / found.fullWidth)));
  lines.push(size.join(" · "));
  part(".mm-corner").textContent = lines.join("\n");
}

viewerGestures(stage, {
  mode: () => mode,
  setMode,
  on: {
    move: picture.moveBy,
    zoom: (factor, at) => picture.zoomAt(factor, at),
    window: dragWindow,
    region,
    nudge,
    leafs: () => value && stackOf(view).count > 1,
    // A touchpad sends many small steps: a slice for about every 40 pixels.
    leaf: (direction, distance) => {
      leafed = distance ? leafed + direction * Math.min(1, distance / 40) : direction;
      if (Math.abs(leafed) < 1) return;
      const steps = Math.trunc(leafed);
      leafed = 0;
      leaf(view.position + (Number.isFinite(steps) ? steps : direction));
    },
    file: (direction) => open(view.stack + direction),
    act: (name) => value && ACTIONS[name](),
    hover: (place) => {
      const amount = place && picture.valueAt(place);
      part(".mm-value").textContent = amount === null ? "" : `${number(amount)} ${picture.picture.unit}`;
    },
  },
});

element.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button || !value) return;
  if (button.dataset.mode) setMode(button.dataset.mode);
  else if (button.dataset.do) ACTIONS[button.dataset.do]();
  else if (button.matches(".mm-analyse")) analyse();
  else if (button.matches(".mm-text button")) {
    change({ covered: [...view.covered, ...bare()] });
    warn();
    analyse();
  }
});
part(".mm-look-tools select").addEventListener("change", (event) => {
  const list = event.target;
  if (list.choices.has(list.value)) change({ window: list.choices.get(list.value) });
});
part(".mm-slices input").addEventListener("input", (event) => leaf(Number(event.target.value) - 1));
part(".mm-strip").addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!step) return;
  event.preventDefault();
  open(view.stack + step);
  part(`.mm-strip button[data-stack="${view.stack}"]`)?.focus();
});
new ResizeObserver(picture.redraw).observe(stage);
watch("value", arrived);
setMode("move");
if (props.value) arrived();
