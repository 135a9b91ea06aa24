// The case that was opened last: a ring marks it on every map, and who closes it is where they were before.

// Puts a mark on a point of a map, or hides it where there is no such point.
function markAt(mark, map, point) {
  mark.hidden = !(point >= 0) || !map?.count;
  if (!mark.hidden) mark.style.transform = `translate(${map.locate(point).map((value) => `${value}px`).join(",")})`;
}

const TWICE = 700; // ms within which a second press on a case is the end of a double click
const WAY_BACK = "#similar-back button"; // stands beside the case where another page shows it

// `mark(point)` puts the ring on all maps; `on` has open(case, point) and failed(error).
function openedCase(frame, { data, mark, on }) {
  let [point, origin, scrolled, pressed] = [-1, null, 0, 0];

  async function open(wanted) {
    if (wanted === point && performance.now() - pressed < TWICE) return;
    pressed = performance.now();
    point = wanted;
    [origin, scrolled] = [document.activeElement, window.scrollY];
    mark(point);
    try {
      const [record] = await data.records([wanted]);
      if (point === wanted) on.open(record.case, wanted);
    } catch (error) {
      on.failed(error);
    }
  }

  function back() {
    const panel = frame.closest("[role=tabpanel]");
    document.querySelector(`[role=tab][aria-controls="${panel.id}"]`).click();
    const settled = () => {
      if (!frame.clientWidth) return requestAnimationFrame(settled);
      window.scrollTo({ top: scrolled, behavior: "instant" });
      if (frame.contains(origin)) origin.focus({ preventScroll: true });
      return undefined;
    };
    requestAnimationFrame(settled);
  }

  // A list of choices that is open closes first.
  const busy = (target) => target.matches("[aria-expanded=true], textarea") || target.closest("dialog");
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || busy(event.target) || !document.querySelector(WAY_BACK)?.checkVisibility()) return;
    event.preventDefault();
    back();
  }, true);
  document.addEventListener("click", (event) => event.target.closest(WAY_BACK) && back());

  return {
    open,
    marked: () => mark(point),
    forget() {
      point = -1;
      mark(point);
    },
  };
}
