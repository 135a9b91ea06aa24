// The opacity slider works in the browser alone and keeps its place when the map of another finding arrives.
let opacity = 60;

function apply() {
  const heat = element.querySelector(".mm-heat");
  const slider = element.querySelector(".mm-opacity");
  if (heat) heat.style.opacity = opacity / 100;
  if (slider) slider.value = opacity;
}

element.addEventListener("input", (event) => {
  if (!event.target.matches(".mm-opacity")) return;
  opacity = Number(event.target.value);
  apply();
});

// On a phone the answer lies below the inputs: bring a new image into view, but not a new map of the same one.
let seen = null;
function arrive() {
  const image = element.querySelector(".mm-base")?.src ?? null;
  if (image && image !== seen && window.innerWidth < 700) element.scrollIntoView({ behavior: "smooth" });
  seen = image;
}

watch("value", () => {
  apply();
  arrive();
});
apply();
