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

// On a phone the answer lies below the inputs: bring a new image into view, with what is said about its file above
// it, but not a new map of the same one.
let seen = null;
function arrive() {
  const image = element.querySelector(".mm-base")?.src ?? null;
  if (image && image !== seen && window.innerWidth < 700) element.closest(".column").scrollIntoView({ behavior: "smooth" });
  seen = image;
}

watch("value", () => {
  apply();
  arrive();
});
apply();
