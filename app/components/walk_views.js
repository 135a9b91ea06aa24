// The selected cases as pictures, as a table and as a histogram, sorted alike; without a selection all cases.
function walkViews(box, { data, cases, drawing, props, sentences, on }) {
  const part = (selector) => box.querySelector(selector);
  const sorting = part(".mm-sort select");
  const turn = part(".mm-sort button");
  let [flags, down, panel] = [null, false, "grid"];
  let points = new Uint32Array(0);

  const views = {
    grid: pictureGrid(part(".mm-pictures-grid"), { data, drawing, sentences, on }),
    list: caseList(part(".mm-list"), {
      data,
      columns: props.listed,
      titles: props.titles,
      on: { ...on, sort },
    }),
  };
  const panels = { grid: part(".mm-pictures-grid"), list: part(".mm-list"), checks: part(".mm-checks"), compare: part(".mm-compare"), notes: part(".mm-notes"), views: part(".mm-views") };
  views.views = savedViews(panels.views, { version: props.version, sentences, on });
  if (panels.checks) views.checks = checksView(panels.checks, { data, drawing, version: props.version, sentences, on });
  if (panels.notes) views.notes = notesView(panels.notes, { data, sentences, on });
  if (panels.compare) views.compare = compareView(panels.compare, { data, sentences, on });
  const spread = histogram(part(".mm-histogram"), { data, ramp: props.ramp, codes: props.codes, sentences, onPress: on.span });

  function sort(name) {
    down = sorting.value === name && !down;
    sorting.value = name;
    return arrange();
  }

  // The points in the order that is wanted; those that are not selected are left out.
  async function arrange() {
    const [name, chosen] = [sorting.value, flags];
    const order = await data.order(name);
    if (name !== sorting.value || chosen !== flags) return; // another was asked for in the meantime
    points = chosen ? order.filter((point) => chosen[point]) : order.slice();
    if (down) points.reverse();
    turn.ariaPressed = String(down);
    views.list.sorted(name, down);
    if (["grid", "list"].includes(panel)) views[panel].show(points);
  }

  function open(name) {
    panel = name;
    for (const tab of box.querySelectorAll("[data-panel]")) tab.ariaPressed = String(tab.dataset.panel === name);
    for (const [key, each] of Object.entries(panels)) if (each) each.hidden = key !== name;
    for (const each of box.querySelectorAll(".mm-of-cases")) each.hidden = !["grid", "list"].includes(name);
    views[name].show(points);
  }

  sorting.addEventListener("change", () => {
    down = false;
    arrange();
  });
  turn.addEventListener("click", () => {
    down = !down;
    arrange();
  });
  box.addEventListener("click", (event) => {
    const tab = event.target.closest("[data-panel]");
    if (tab) open(tab.dataset.panel);
  });

  return {
    open,
    get points() { return points; },
    // `selected`: a flag a point, of which `count` are set; null stands for all cases.
    show(selected, count) {
      flags = selected;
      views.notes?.chose(selected ? pointsOf(selected, count) : []);
      const listed = selected ? count : cases;
      part(".mm-walk-count").textContent = listed === 1 ? sentences.shown_one : sentences.shown.replace("{}", listed.toLocaleString(document.documentElement.lang));
      return Promise.all([arrange(), spread.show(flags)]);
    },
  };
}

// The points that are flagged, of which there are `count`.
function pointsOf(flags, count) {
  const points = new Uint32Array(count);
  for (let point = 0, at = 0; at < count; point++) if (flags[point]) points[at++] = point;
  return points;
}
