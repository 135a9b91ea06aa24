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
watch("value", apply);
apply();
