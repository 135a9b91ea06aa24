// A selection is the steps that led to it, so that one can be undone and an address can hold them all. A step is
// how (new, add, keep, remove, invert), what (around corners on this map or on the one beside it, class of a
// column, span of a column, points, text in the records, case that was given a tag) and its numbers or its text.
const JOINED = {
  new: (_, hit) => hit,
  add: (was, hit) => was | hit,
  keep: (was, hit) => was & hit,
  remove: (was, hit) => was & ~hit,
  invert: (was) => was ^ 1,
};

// What the keys say that are held while something is pressed or drawn around.
const heldKeys = (event) => (event.shiftKey ? "add" : event.altKey ? "remove" : event.ctrlKey || event.metaKey ? "toggle" : null);

const cornersOf = (numbers) => numbers.flatMap((x, i) => (i % 2 ? [] : [[x, numbers[i + 1]]]));

async function flagsOfStep({ what, numbers, text }, count, { within, beside, data }) {
  if (what === "around") return within(cornersOf(numbers));
  if (what === "beside" && beside) return beside.within(cornersOf(numbers));
  if (what === "text") return data.search(text);
  if (what === "given") return data.tagged(text);
  const flags = new Uint8Array(count);
  if (what === "points") for (const point of numbers) flags[point] = 1;
  if (what !== "class" && what !== "span") return flags;
  const [column, from, to = from] = numbers;
  const codes = await data.column(column);
  for (let i = 0; i < count; i++) flags[i] = Number(codes[i] >= from && codes[i] <= to);
  return flags;
}

// One flag a point after some steps; `flagsOf(step)` are those of one of them.
async function flagsAfter(steps, count, flagsOf) {
  const flags = new Uint8Array(count);
  for (const step of steps) {
    const found = step.how === "invert" ? null : await flagsOf(step);
    const join = JOINED[step.how];
    for (let i = 0; i < count; i++) flags[i] = join(flags[i], found?.[i]);
  }
  return flags;
}

// The steps with a case that is chosen or given up by itself; those that are pressed one after another are one step.
function withPoint(steps, point, how) {
  const last = steps.at(-1);
  const step = { how: how === "add" && !last ? "new" : how, what: "points", numbers: [point] };
  if (last?.what !== "points") return [...steps, step];
  const others = last.numbers.filter((number) => number !== point);
  if (how === "remove" && last.how === "new") return others.length ? [{ ...last, numbers: others }] : [];
  const alike = how === last.how || (how === "add" && last.how === "new");
  return alike ? [...steps.slice(0, -1), { ...last, numbers: [...others, point] }] : [...steps, step];
}

// The steps without one; what then comes first stands for itself.
function withoutStep(steps, number) {
  const rest = steps.filter((_, i) => i !== number);
  if (rest.length && ["add", "keep"].includes(rest[0].how)) rest[0] = { ...rest[0], how: "new" };
  return rest;
}

// Steps in an address: a letter for how, one for what, then numbers, such as na1.2.3.4.5.6, or text.
const HOWS = { n: "new", a: "add", k: "keep", r: "remove", i: "invert" };
const WHATS = { a: "around", b: "beside", c: "class", s: "span", p: "points", t: "text", g: "given" };

function writtenStep({ how, what, numbers, text }) {
  if (how === "invert") return "i";
  const escaped = text === undefined ? "" : encodeURIComponent(text).replaceAll("*", "%2A");
  return how[0] + what[0] + (text === undefined ? numbers.join(".") : escaped);
}

// The step that was written, null for what is none.
function readStep(written) {
  const [, how, what, rest] = written.match(/^([nakri])([abcsptg]?)(.*)$/) ?? [];
  if (!how || (how !== "i" && !what)) return null;
  if (how === "i") return { how: HOWS.i };
  if (what !== "t" && what !== "g") {
    const numbers = rest.split(".").map(Number);
    return numbers.every(Number.isInteger) ? { how: HOWS[how], what: WHATS[what], numbers } : null;
  }
  try {
    return { how: HOWS[how], what: WHATS[what], text: decodeURIComponent(rest) };
  } catch {
    return null;
  }
}
