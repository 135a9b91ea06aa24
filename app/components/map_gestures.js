// What mouse, fingers and keys do on a map: move, zoom, draw around points, point at one, choose one.
// `tool()` is "pan", "lasso" or "box"; `on` has hover(point, at, byKeys), pick(point, how), around(polygon, how), escape(),
// say(sentence). `how` is what held keys say: "add", "remove", "toggle" or null.
// Returns `outlined()`, which draws anew what is drawn around when the view has changed.
function mapGestures(stage, map, { tool, on, sentences }) {
  const outline = stage.querySelector("polygon");
  const crosshair = mapCrosshair(stage, map, { tool, pan, outlined, on, sentences });
  const TREMBLE = { mouse: 4, pen: 6, touch: 10 }; // px that a press may move
  const fingers = new Map();
  let [drawn, start, travelled, how] = [null, null, 0, null];

  const at = (event) => {
    const box = stage.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };

  function zoom(factor, [x, y] = [stage.clientWidth / 2, stage.clientHeight / 2]) {
    const before = map.place([x, y]);
    map.lookAt({ zoom: map.view.zoom * factor });
    const after = map.place([x, y]);
    map.lookAt({ x: map.view.x + before[0] - after[0], y: map.view.y + before[1] - after[1] });
  }

  function pan(dx, dy) {
    const [from, to] = [map.place([0, 0]), map.place([dx, dy])];
    map.lookAt({ x: map.view.x + from[0] - to[0], y: map.view.y + from[1] - to[1] });
  }

  function outlined() {
    outline.setAttribute("points", (drawn ?? crosshair.outline() ?? []).map(([x, y]) => `${x},${y}`).join(" "));
  }

  function drop() {
    const was = drawn;
    [drawn, start] = [null, null];
    outlined();
    return was;
  }

  function pinch(event) {
    const [a, b] = [...fingers.values()];
    const span = Math.hypot(a[0] - b[0], a[1] - b[1]);
    const middle = [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];
    fingers.set(event.pointerId, at(event));
    const [c, d] = [...fingers.values()];
    const moved = [(c[0] + d[0]) / 2, (c[1] + d[1]) / 2];
    pan(moved[0] - middle[0], moved[1] - middle[1]);
    if (span > 0) zoom(Math.hypot(c[0] - d[0], c[1] - d[1]) / span, moved);
  }

  stage.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    stage.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, at(event));
    travelled = fingers.size > 1 ? Infinity : 0; // the end of a pinch chooses nothing
    drop();
    crosshair.drop();
    if (fingers.size > 1) return;
    [start, how] = [at(event), heldKeys(event)];
    if (tool() !== "pan") drawn = [start];
  });

  stage.addEventListener("pointermove", (event) => {
    const [x, y] = at(event);
    const before = fingers.get(event.pointerId);
    if (!before) return event.pointerType === "touch" ? undefined : on.hover(map.nearest([x, y]), [x, y]);
    if (fingers.size === 2) return pinch(event);
    if (!start) return undefined;
    travelled = Math.max(travelled, Math.hypot(x - start[0], y - start[1]));
    if (travelled > TREMBLE[event.pointerType]) on.hover(-1);
    if (!drawn) pan(x - before[0], y - before[1]);
    else if (tool() === "box") drawn = [start, [x, start[1]], [x, y], [start[0], y]];
    else if (Math.hypot(x - drawn.at(-1)[0], y - drawn.at(-1)[1]) > 3) drawn.push([x, y]);
    fingers.set(event.pointerId, [x, y]);
    return outlined();
  });

  function lift(event) {
    if (!fingers.delete(event.pointerId)) return;
    const [began, polygon] = [start, drop()];
    if (event.type === "pointercancel" || !began) return;
    if (travelled <= TREMBLE[event.pointerType]) {
      const point = map.nearest(at(event), event.pointerType === "touch" ? 22 : 10);
      if (event.pointerType === "touch") on.hover(point, at(event));
      if (point >= 0) on.pick(point, how);
    } else if (polygon?.length > 2) on.around(polygon, how);
  }
  stage.addEventListener("pointerup", lift);
  stage.addEventListener("pointercancel", lift);
  // A finger leaves as soon as it is lifted; what it pointed at stays until it touches elsewhere.
  stage.addEventListener("pointerleave", (event) => event.pointerType === "touch" || on.hover(-1));

  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    const pixels = event.deltaY * [1, 16, 400][event.deltaMode];
    zoom(Math.exp(Math.max(-150, Math.min(150, -pixels)) / 400), at(event));
    on.hover(map.nearest(at(event)), at(event)); // the pointer rests, what lies under it does not
  }, { passive: false });

  const step = 60;
  const keys = {
    ArrowLeft: () => pan(step, 0),
    ArrowRight: () => pan(-step, 0),
    ArrowUp: () => pan(0, step),
    ArrowDown: () => pan(0, -step),
    "+": () => zoom(1.4),
    "=": () => zoom(1.4),
    "-": () => zoom(1 / 1.4),
    0: () => map.lookAt({ x: 32767.5, y: 32767.5, zoom: 1 }),
    Enter: pressMiddle,
    " ": pressMiddle,
    Escape: () => drop() ?? on.escape(),
  };
  const middle = () => map.nearest([stage.clientWidth / 2, stage.clientHeight / 2], 60);
  function pressMiddle(event) {
    const point = middle();
    return point < 0 ? on.say(sentences.nothing_here) : on.pick(point, heldKeys(event));
  }

  stage.addEventListener("keydown", (event) => {
    const presses = [" ", "Enter"].includes(event.key);
    const act = !presses && (event.ctrlKey || event.metaKey || event.altKey) ? null : keys[event.key];
    if (!act) return;
    event.preventDefault();
    if (crosshair.press(event)) return;
    act(event);
    if (event.key.startsWith("Arrow") || "+=-".includes(event.key)) {
      const point = middle(); // who has no pointer sees what Enter would open
      on.hover(point, point < 0 ? undefined : map.locate(point), true);
    }
  });
  return { outlined };
}
