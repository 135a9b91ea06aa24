() => {
  // A list opens as soon as its field has the focus, and points at what is chosen in it: a reader would say that, and
  // never which field it is. Until a key is pressed it points at nothing.
  document.addEventListener("focusin", ({ target }) => {
    if (target.role !== "combobox") return;
    const points = "aria-activedescendant", once = { once: true, capture: true };
    const held = new MutationObserver(() => target.removeAttribute(points));
    held.observe(target, { attributeFilter: [points] });
    target.removeAttribute(points);
    for (const until of ["keydown", "focusout"]) target.addEventListener(until, () => held.disconnect(), once);
  });
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
