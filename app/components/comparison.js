// A dialog beside which the page stays in use: the focus goes into it, and back to its case when it is closed. It may
// also be searched with; a new one is brought into view.
function close() {
  const { case: id } = element.querySelector(".mm-comparison").dataset;
  element.replaceChildren();
  document.querySelector(`#classify-cases button[data-pick="${CSS.escape(id)}"]`)?.focus();
}

element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-pick]");
  if (!button) return;
  if (button.dataset.pick) trigger("select", { pick: button.dataset.pick });
  else close();
});

element.addEventListener("keydown", (event) => {
  if (event.key === "Escape") close();
});

watch("value", () => {
  const section = element.querySelector(".mm-comparison");
  if (!section) return;
  section.focus({ preventScroll: true });
  section.scrollIntoView({ block: "nearest" });
});
