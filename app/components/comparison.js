// Closes the comparison, or goes on searching with its case; a new one is brought into view.
element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-pick]");
  if (!button) return;
  if (button.dataset.pick) trigger("select", { pick: button.dataset.pick });
  else element.replaceChildren();
});

watch("value", () => {
  const section = element.querySelector(".mm-comparison");
  if (!section) return;
  section.tabIndex = -1;
  section.focus({ preventScroll: true });
  section.scrollIntoView({ block: "nearest" });
});
