// Sends the name on a pressed button (data-pick) to the server, for findings and for cases alike.
element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-pick]");
  if (!button) return;
  if (button.ariaPressed !== null)
    for (const other of element.querySelectorAll("[aria-pressed]")) other.ariaPressed = String(other === button);
  trigger("select", { pick: button.dataset.pick });
});
