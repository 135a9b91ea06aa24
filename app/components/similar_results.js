// The cases that a search found: a pressed case is searched with (data-pick), a pressed mark is kept (data-mark).
element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-mark], [data-pick]");
  if (!button) return;
  if (button.dataset.pick) return trigger("select", { pick: button.dataset.pick });
  const pressed = button.ariaPressed !== "true";
  for (const other of button.parentElement.children) other.ariaPressed = String(other === button && pressed);
  trigger("like", { case: button.dataset.case, mark: pressed ? button.dataset.mark : "" });
});
