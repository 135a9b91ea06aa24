() => {
  // A list of choices that scrolls is passed by Tab, and closes when its field is left: Gradio would leave it open.
  document.addEventListener("keydown", ({ key, target }) => {
    if (key !== "Tab" || target.role !== "combobox") return;
    document.getElementById(target.getAttribute("aria-controls"))?.setAttribute("tabindex", "-1");
  }, true);
  document.addEventListener("focusout", ({ target }) => {
    if (target.role !== "combobox") return;
    setTimeout(() => {
      if (document.activeElement === target || target.getAttribute("aria-expanded") !== "true") return;
      target.dispatchEvent(new KeyboardEvent("keydown", { key: "Escape", bubbles: true }));
    }, 100);
  });
}
