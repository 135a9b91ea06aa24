// The cases that a search found: a pressed case is searched with (data-pick), a pressed mark is kept (data-mark).
element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-mark], [data-pick]");
  if (!button) return;
  if (button.dataset.pick) return trigger("select", { pick: button.dataset.pick });
  const pressed = button.ariaPressed !== "true";
  for (const other of button.parentElement.children) other.ariaPressed = String(other === button && pressed);
  const marks = {};
  for (const each of element.querySelectorAll("[data-mark]")) marks[each.dataset.case] ||= each.ariaPressed === "true" ? each.dataset.mark : "";
  element.dataset.asked = JSON.stringify(marks);
  trigger("like", {});
});
