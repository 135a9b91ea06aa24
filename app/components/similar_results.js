// The cases that a search found: a pressed case is searched with (data-pick), a pressed mark is kept (data-mark).
// All marks are told with each press: while one is on its way, of further presses only the last is.
element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-mark], [data-pick]");
  if (!button) return;
  if (button.dataset.pick) return trigger("select", { pick: button.dataset.pick });
  const pressed = button.ariaPressed !== "true";
  for (const other of button.parentElement.children) other.ariaPressed = String(other === button && pressed);
  const marks = {};
  for (const each of element.querySelectorAll("[data-mark]")) marks[each.dataset.case] ||= each.ariaPressed === "true" ? each.dataset.mark : "";
  trigger("like", { marks });
});
