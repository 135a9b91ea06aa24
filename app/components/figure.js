// The opacity slider and the switch work in the browser alone and keep their place when the map of another finding arrives.
let opacity = 60;
let shown = true;

function apply() {
  const heat = element.querySelector(".mm-heat");
  const slider = element.querySelector(".mm-opacity");
  const toggle = element.querySelector(".mm-shown");
  if (heat) heat.style.opacity = shown ? opacity / 100 : 0;
  if (slider) slider.value = opacity;
  if (toggle) toggle.checked = shown;
}

element.addEventListener("input", (event) => {
  if (event.target.matches(".mm-shown")) shown = event.target.checked;
  else if (event.target.matches(".mm-opacity")) [opacity, shown] = [Number(event.target.value), true];
  else return;
  apply();
});

// The picture is fetched once, and given to the image again with every heat map over it.
let [seen, address] = ["", ""];
const place = () => element.querySelector(".mm-base");
async function fill() {
  const wanted = place()?.dataset.seen ?? "";
  if (wanted !== seen) {
    URL.revokeObjectURL(address);
    [seen, address] = [wanted, ""];
    if (wanted) await fetchPicture(place().dataset.from, wanted);
  }
  if (address) place().src = address;
}
async function fetchPicture(from, name) {
  const answer = await fetch(from, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ seen: name }) });
  const picture = answer.ok && await answer.blob();
  if (picture && name === seen) address = URL.createObjectURL(picture);
}

// On a phone the answer lies below the inputs: bring what is said of a new image into view, but not for a new map of
// the same one. The page may be too short for it at first, so again while the answer grows, until the visitor moves.
const GROWS = 3000; // ms
const MOVES = ["pointerdown", "touchstart", "wheel", "keydown"];
function arrive() {
  const name = place()?.dataset.seen;
  if (!name || name === seen || window.innerWidth >= 700) return;
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const words = element.closest("#classify-first")?.querySelector("#classify-words") ?? element.closest(".column");
  // A jump while the answer grows would count as a shift of everything on the screen.
  const growing = new ResizeObserver(() => words.scrollIntoView({ behavior: still ? "instant" : "smooth" }));
  growing.observe(document.body);
  setTimeout(() => growing.disconnect(), GROWS);
  for (const move of MOVES) addEventListener(move, () => growing.disconnect(), { once: true, passive: true });
}

watch("value", () => {
  apply();
  arrive();
  fill();
});
apply();
