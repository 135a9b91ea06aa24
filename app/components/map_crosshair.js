// Drawing on a map by keys, with the tool "lasso" or "box": arrows move a crosshair, Space sets a corner, Enter
// selects what lies inside, Escape gives up. `on` has hover(point, at, true), pick(point), around(polygon), say(sentence).
function mapCrosshair(stage, map, { tool, pan, outlined, on, sentences }) {
  const [STEP, FINE, ARM, NEAR] = [24, 4, 14, 10]; // px
  const cross = stage.querySelector(".mm-cross");
  const WAYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  let [at, corners] = [null, []]; // where the crosshair stands on the stage; the corners, which stay on the map

  // What would be selected now: the corners and the crosshair, on the stage.
  function outline() {
    if (!corners.length) return null;
    const set = corners.map(map.locate);
    if (tool() === "box") return [set[0], [at[0], set[0][1]], at, [set[0][0], at[1]]];
    const [x, y] = set.at(-1);
    return Math.hypot(x - at[0], y - at[1]) < 1 ? set : [...set, at];
  }

  function draw() {
    cross.setAttribute("d", at ? `M${at[0] - ARM} ${at[1]}h${2 * ARM}M${at[0]} ${at[1] - ARM}v${2 * ARM}` : "");
    outlined();
  }

  function drop() {
    [at, corners] = [null, []];
    draw();
  }

  function begin() {
    at ??= [stage.clientWidth / 2, stage.clientHeight / 2];
    draw();
  }

  // Beyond the edge the map moves instead.
  function move([across, down], step) {
    const wanted = [at[0] + across * step, at[1] + down * step];
    at = [stage.clientWidth, stage.clientHeight].map((most, axis) => Math.min(most, Math.max(0, wanted[axis])));
    pan(at[0] - wanted[0], at[1] - wanted[1]);
    on.hover(map.nearest(at, NEAR), at, true);
  }

  function close(how) {
    const point = map.nearest(at, NEAR);
    const polygon = outline();
    if (!polygon) return point < 0 ? on.say(sentences.nothing_here) : on.pick(point, how);
    const [width, height] = [0, 1].map((axis) => Math.max(...polygon.map((corner) => corner[axis])) - Math.min(...polygon.map((corner) => corner[axis])));
    if (polygon.length < 3 || Math.min(width, height) < 1) return on.say(sentences.few_corners);
    corners = [];
    return on.around(polygon, how);
  }

  function giveUp() {
    if (corners.length) on.say(sentences.outline_dropped);
    if (corners.length) corners = [];
    else at = null;
  }

  stage.addEventListener("focus", () => tool() !== "pan" && stage.matches(":focus-visible") && begin());
  stage.addEventListener("blur", () => corners.length || drop());
  new MutationObserver(drop).observe(stage, { attributeFilter: ["data-tool"] });

  return {
    drop,
    outline,
    // Does what a key means while something is drawn; returns whether it means anything.
    press(event) {
      const { key, shiftKey } = event;
      const own = WAYS[key] || [" ", "Enter"].includes(key) || (key === "Escape" && at);
      if (tool() === "pan" || !own) return false;
      if (key === "Escape") giveUp();
      else {
        begin();
        if (WAYS[key]) move(WAYS[key], shiftKey ? FINE : STEP);
        else if (key === "Enter") close(heldKeys(event));
        else {
          corners = tool() === "box" ? [map.place(at)] : [...corners, map.place(at)];
          on.say(sentences.corner.replace("{}", corners.length));
        }
      }
      draw();
      return true;
    },
  };
}
