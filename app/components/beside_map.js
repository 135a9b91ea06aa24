// The map of a second collection beside the first: the same tools, colours, names, pictures and selection. What is selected on one
// map is lit on the other; a case that the first lacks has a number beyond the first one's points.

// `cases`: of the first; `first(step)`: the flags that a step gives on the first map; `on` has what both maps do.
function besideMap(stage, { facts, cases, kind, tool, first, tip, keySentences, on }) {
  const { bounds, sentences } = facts;
  const part = (selector) => stage.querySelector(selector);
  const data = servedData(facts);
  const count = part(".mm-map-name output");
  let points = new Uint32Array(0); // of each of its points the number on the first map
  let pointOf = new Int32Array(0); // the other way round, −1 for a case that is not here
  let [codes, groups, flags] = [new Uint8Array(0), [], new Uint8Array(0)];
  let opened = -1; // a point of the first map

  const map = createMap(stage, { extent: [bounds[2], bounds[3]], kind, onView: viewed });
  stage.map = map; // for tests and benchmarks
  const labels = mapLabels(stage, map, facts.clusters);
  const pictures = mapPictures(stage, map, { data, pictured: facts.pictured, most: facts.most_pictures });
  const hover = tip(stage, data);
  const gestures = mapGestures(stage, map, {
    tool,
    sentences: keySentences,
    on: {
      hover(point, at, byKeys) {
        hover(point, at, byKeys);
        on.ring(point < 0 || points[point] >= cases ? -1 : points[point]);
      },
      pick: (point, how) => on.pick(points[point], how),
      around: (polygon, how) => on.around(polygon.flatMap((corner) => map.place(corner).map(Math.round)), how),
      escape: on.escape,
      say: on.say,
    },
  });
  new ResizeObserver(() => stage.clientWidth && map.painter && map.fit()).observe(stage);

  function viewed() {
    gestures.outlined();
    labels.draw();
    pictures.draw();
    ring(-1);
    mark(opened);
  }

  async function load() {
    const places = await data.places();
    points = await data.points();
    pointOf = new Int32Array(points.reduce((most, point) => Math.max(most, point + 1), cases)).fill(-1);
    points.forEach((point, i) => (pointOf[point] = i));
    flags = new Uint8Array(points.length);
    map.load(places);
    tell(false);
  }

  // What both maps have is lit on both, so that they cannot disagree.
  async function flagsOf(step) {
    if (step.what === "beside") return map.within(cornersOf(step.numbers));
    const own = ["class", "span", "text"].includes(step.what)
      ? await flagsOfStep(step, points.length, { data })
      : new Uint8Array(points.length);
    if (step.what === "points") for (const number of step.numbers) if (number >= cases && pointOf[number] >= 0) own[pointOf[number]] = 1;
    const shared = await first(step);
    points.forEach((point, i) => point < cases && (own[i] = shared[point]));
    return own;
  }

  // How many cases are selected here, or how many there are.
  function tell(chosen) {
    const meant = (i) => !chosen || flags[i];
    const counted = points.reduce((sum, _, i) => sum + Number(meant(i)), 0);
    const shared = points.reduce((sum, point, i) => sum + Number(meant(i) && point < cases), 0);
    const numbers = chosen ? [counted, points.length, shared] : [counted, shared];
    const sentence = sentences[chosen ? "beside_chosen" : "beside_all"];
    count.textContent = numbers.reduce((text, number) => text.replace("{}", number.toLocaleString(document.documentElement.lang)), sentence);
  }

  function ring(point) {
    markAt(part(".mm-ring"), map, pointOf[point] ?? -1);
  }

  // Marks the case that was opened.
  function mark(point) {
    opened = point;
    markAt(part(".mm-opened"), map, pointOf[point] ?? -1);
  }

  return {
    data,
    map,
    labels,
    load,
    hover,
    ring,
    mark,
    failed(error) {
      part(".mm-map-wait").textContent = sentences.beside_wait.replace("{}", error.message);
    },
    // The flags (cases of the first) of what lies within a polygon of this map's plane.
    within(corners) {
      const inside = map.within(corners);
      const found = new Uint8Array(cases);
      points.forEach((point, i) => inside[i] && point < cases && (found[point] = 1));
      return found;
    },
    // The codes of a column, and the groups of it that the first map does not have.
    async column(number) {
      const [bytes, { groups }] = await Promise.all([data.column(number), data.facts(number)]);
      return { codes: bytes, groups };
    },
    groups: async (number) => (await data.facts(number)).groups,
    flagsAfter: (steps) => flagsAfter(steps, points.length, flagsOf),
    // Takes new codes with their groups, or new flags.
    take(changes) {
      ({ codes, groups, flags } = { codes, groups, flags, ...changes });
      part(".mm-map-wait").hidden = true;
    },
    // Adds how many selected points each group has that the first map lacks.
    count(counts) {
      const own = countsOf(codes, flags);
      for (const { code } of groups) counts[code] = own[code];
    },
    show(chosen, { hues, background, dim }) {
      const none = chosen && !flags.includes(1);
      map.show({ codes, selected: flags, hues: none ? hues.map(() => dim) : hues, background, dim });
    },
    tell,
  };
}
