() => {
  // Whoever goes by keys stays where they are: where what has the focus goes away, such as the button that removes
  // its own row, the focus goes to what stands in its place. Gradio takes it from a list when a choice is made.
  const CAN = "button, a[href], input, select, textarea, summary, [tabindex]";
  const able = (node) => node.tabIndex >= 0 && !node.disabled && node.checkVisibility({ visibilityProperty: true });
  const within = (box) => [...box.querySelectorAll(CAN)].filter(able);
  let last = null; // {node, places}: the boxes around what has the focus, and which of their controls it is

  document.addEventListener("focusin", ({ target }) => {
    last = null;
    if (!target.matches(":focus-visible")) return;
    const [all, places] = [within(document.body), []];
    for (let box = target.parentElement; box && box !== document.body; box = box.parentElement)
      places.push([box, all.filter((node) => box.contains(node)).indexOf(target)]);
    last = { node: target, places };
  });
  document.addEventListener("pointerdown", () => { last = null; }, true);

  setInterval(() => {
    if (!last || document.activeElement !== document.body) return;
    const { node, places } = last;
    last = null;
    if (node.isConnected && able(node)) {
      node.focus();
      if (node.role === "combobox") node.dispatchEvent(new KeyboardEvent("keydown", { key: "Escape", bubbles: true })); // else it opens again
      return;
    }
    for (const [box, place] of places) {
      const there = box.isConnected ? within(box) : [];
      if (box.matches(".tabs")) return box.querySelector("[role=tab][aria-selected=true]").focus(); // another page was opened
      if (there.length) return there[Math.min(Math.max(place, 0), there.length - 1)].focus();
    }
  }, 200);
}
