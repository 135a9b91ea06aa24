// Pointer, wheel and keys on the stage of the viewer. Modes: window, move, region.
const KEYS_OF_MODES = { w: "window", m: "move", r: "region" };
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const KEY_STEP = 24;

function viewerGestures(stage, { mode, setMode, on }) {
  const pointers = new Map();
  let [anchor, pinch, drawn] = [null, 0, null];
  const place = (event) => {
    const box = stage.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const apart = () => {
    const [[ax, ay], [bx, by]] = [...pointers.values()];
    return [Math.hypot(ax - bx, ay - by), [(ax + bx) / 2, (ay + by) / 2]];
  };

  stage.addEventListener("pointerdown", (event) => {
    if (event.button > 1) return;
    stage.setPointerCapture(event.pointerId);
    stage.focus({ preventScroll: true });
    pointers.set(event.pointerId, place(event));
    anchor = place(event);
    drawn = null;
    if (pointers.size === 2) [pinch] = apart();
  });
  stage.addEventListener("pointermove", (event) => {
    const now = place(event);
    if (!pointers.has(event.pointerId)) return on.hover(now);
    const before = pointers.get(event.pointerId);
    pointers.set(event.pointerId, now);
    const [x, y] = [now[0] - before[0], now[1] - before[1]];
    if (pointers.size === 2) {
      const [distance, middle] = apart();
      on.zoom(distance / pinch, middle);
      on.move(x / 2, y / 2);
      pinch = distance;
    } else if (event.shiftKey || event.buttons === 4 || mode() === "move") on.move(x, y);
    else if (mode() === "window") on.window(x, y);
    else {
      drawn = [anchor, now];
      on.region(drawn, false);
    }
    return undefined;
  });
  const release = (event) => {
    if (!pointers.delete(event.pointerId)) return;
    if (drawn) on.region(drawn, true);
    drawn = null;
  };
  stage.addEventListener("pointerup", release);
  stage.addEventListener("pointercancel", release);
  stage.addEventListener("pointerleave", () => on.hover(null));
  stage.addEventListener("dblclick", () => on.act("reset"));

  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    const step = event.deltaMode === 1 ? event.deltaY * 30 : event.deltaY;
    if (event.ctrlKey || event.metaKey || !on.leafs()) on.zoom(Math.exp(-step / 400), place(event));
    else on.leaf(Math.sign(step), Math.abs(step));
  }, { passive: false });

  stage.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const arrow = ARROWS[key];
    if (arrow && event.shiftKey) on.nudge(arrow.map((step) => step * KEY_STEP), event.altKey);
    else if (arrow?.[1]) on.leaf(arrow[1], 0);
    else if (arrow) on.file(arrow[0]);
    else if (key === "PageUp" || key === "PageDown") on.leaf(key === "PageUp" ? -10 : 10, 0);
    else if (key === "Home" || key === "End") on.leaf(key === "Home" ? -Infinity : Infinity, 0);
    else if (KEYS_OF_MODES[key]) setMode(KEYS_OF_MODES[key]);
    else if (key === "+" || key === "=") on.act("nearer");
    else if (key === "-") on.act("farther");
    else if (key === "0") on.act("reset");
    else if (key === "i") on.act("invert");
    else if (key === "b") on.act("blacken");
    else if (key === "Enter") on.act("analyse");
    else if (key === "Escape") on.act("whole");
    else return;
    event.preventDefault();
  });
}
