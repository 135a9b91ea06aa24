// Rows of one height in a box that scrolls: only those in view are in the page, however many there are.
const MOST_HEIGHT = 8e6; // px; browsers draw nothing beyond some 16 million

// `height()` is that of a row in px, `make(number)` returns its element, `settled(numbers)` fetches what rows
// show as soon as the scrolling rests on them. What a row offers to keys is `items(row)`, so many in all as `total()`
// and `across()` in a row: Tab comes to one of all of them and then passes on, the arrow keys walk among them.
function virtualRows(box, { height, make, settled, items = () => [], total = () => 0, across = () => 1 }) {
  const inner = document.createElement("div");
  inner.className = "mm-rows";
  box.append(inner);
  const live = new Map();
  let [count, rest, asked] = [0, 0, false];
  let current = 0; // the item that Tab comes to

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
    offer(Math.ceil(top / tall));
    clearTimeout(rest);
    rest = setTimeout(() => settled([...live.keys()].sort((a, b) => a - b)), 60);
  }

  // Offers one item to Tab: that which had the focus last, or the first in view where it is far away.
  function offer(firstInView) {
    const wide = across();
    if (!live.has(Math.floor(current / wide))) current = firstInView * wide;
    for (const [number, row] of live)
      items(row).forEach((item, i) => (item.tabIndex = number * wide + i === current ? 0 : -1));
  }

  // The number of the item that an event comes from, −1 where it comes from none.
  function numberOf(event) {
    for (const [number, row] of live) {
      const place = items(row).indexOf(event.target);
      if (place >= 0) return number * across() + place;
    }
    return -1;
  }

  box.addEventListener("focusin", (event) => {
    const number = numberOf(event);
    if (number < 0) return;
    current = number;
    offer(0);
  });

  box.addEventListener("keydown", (event) => {
    const [at, wide] = [numberOf(event), across()];
    if (at < 0) return;
    const sideways = wide > 1 ? { ArrowLeft: -1, ArrowRight: 1 } : {};
    const step = { ...sideways, ArrowUp: -wide, ArrowDown: wide }[event.key];
    const next = { Home: 0, End: total() - 1 }[event.key] ?? at + step;
    if (!(next >= 0 && next < total())) return;
    event.preventDefault();
    const row = reach(Math.floor(next / wide));
    if (row) items(row)[next % wide]?.focus();
  });

  function ask() {
    if (!asked) requestAnimationFrame(draw);
    asked = true;
  }

  function empty() {
    for (const row of live.values()) row.remove();
    live.clear();
  }

  box.addEventListener("scroll", ask, { passive: true });
  let size = "";
  new ResizeObserver(() => {
    if (!box.clientHeight) return; // what is hidden for a while comes back as it was
    const now = `${box.clientWidth} ${box.clientHeight}`;
    if (now !== size) empty();
    size = now;
    ask();
  }).observe(box);
  // Brings a row into view and returns its element.
  function reach(number) {
    const tall = height();
    const top = position(tall);
    const wanted = Math.max(Math.min(top, number * tall), (number + 1) * tall - box.clientHeight);
    const [whole, scrolled] = [count * tall, Math.min(count * tall, MOST_HEIGHT)];
    if (wanted !== top) box.scrollTop = (wanted * (scrolled - box.clientHeight)) / Math.max(1, whole - box.clientHeight);
    draw();
    return live.get(number);
  }

  return {
    row: (number) => live.get(number),
    // Shows so many rows from the first.
    show(rows) {
      count = rows;
      current = 0;
      empty();
      box.scrollTop = 0;
      ask();
    },
  };
}
