// Rows of one height in a box that scrolls: only those in view are in the page, however many there are.
const MOST_HEIGHT = 8e6; // px; browsers draw nothing beyond some 16 million

// `height()` is that of a row in px, `make(number)` returns its element, `settled(numbers)` fetches what rows
// show as soon as the scrolling rests on them.
function virtualRows(box, { height, make, settled }) {
  const inner = document.createElement("div");
  inner.className = "mm-rows";
  box.append(inner);
  const live = new Map();
  let [count, rest, asked] = [0, 0, false];

  // How far down the rows the view is: more than the box has scrolled where there are too many for its height.
  function position(tall) {
    const [whole, room] = [count * tall, box.clientHeight];
    const scrolled = Math.min(whole, MOST_HEIGHT);
    inner.style.height = `${scrolled}px`;
    return scrolled > room ? (box.scrollTop * (whole - room)) / (scrolled - room) : box.scrollTop;
  }

  function draw() {
    asked = false;
    const tall = height();
    if (!tall || !box.clientHeight) return;
    const top = position(tall);
    const first = Math.max(0, Math.floor(top / tall) - 1);
    const last = Math.min(count - 1, Math.floor((top + box.clientHeight) / tall) + 1);
    for (const [number, row] of live)
      if ((number < first || number > last) && !row.contains(document.activeElement)) {
        row.remove();
        live.delete(number);
      }
    for (let number = last; number >= first; number--) {
      if (!live.has(number)) {
        live.set(number, make(number));
        inner.insertBefore(live.get(number), live.get(number + 1) ?? null);
      }
      live.get(number).style.transform = `translateY(${number * tall - top + box.scrollTop}px)`;
    }
    clearTimeout(rest);
    rest = setTimeout(() => settled([...live.keys()].sort((a, b) => a - b)), 60);
  }

  function ask() {
    if (!asked) requestAnimationFrame(draw);
    asked = true;
  }

  function empty() {
    for (const row of live.values()) row.remove();
    live.clear();
  }

  box.addEventListener("scroll", ask, { passive: true });
  new ResizeObserver(() => {
    empty();
    ask();
  }).observe(box);
  return {
    row: (number) => live.get(number),
    // Shows so many rows from the first.
    show(rows) {
      count = rows;
      empty();
      box.scrollTop = 0;
      ask();
    },
    // Brings a row into view and returns its element.
    reach(number) {
      const tall = height();
      const top = position(tall);
      const wanted = Math.max(Math.min(top, number * tall), (number + 1) * tall - box.clientHeight);
      const [whole, scrolled] = [count * tall, Math.min(count * tall, MOST_HEIGHT)];
      if (wanted !== top) box.scrollTop = (wanted * (scrolled - box.clientHeight)) / Math.max(1, whole - box.clientHeight);
      draw();
      return live.get(number);
    },
  };
}
