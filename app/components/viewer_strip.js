// The strip of thumbnails: one for each stack, asked for when it comes into view.
function createStrip(list, { ask, onPick, name }) {
  let [visit, watcher] = ["", null];

  async function fill(button) {
    const answer = await ask({ visit, stack: Number(button.dataset.stack), position: Number(button.dataset.start), thumbnail: true });
    if (!button.isConnected) return;
    if (answer.status === 422) { // a file that cannot be read: why stands here too
      button.title = button.ariaLabel = `${button.title}: ${await answer.text()}`;
      return button.prepend(Object.assign(document.createElement("em"), { textContent: "!" }));
    }
    if (!answer.ok) return;
    const image = new Image();
    image.alt = "";
    image.onload = () => URL.revokeObjectURL(image.src);
    image.src = URL.createObjectURL(await answer.blob());
    button.prepend(image);
  }

  list.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) onPick(Number(button.dataset.stack));
  });

  return {
    show(value) {
      list.hidden = !value || value.stacks.length < 2;
      if (!value || value.visit === visit) return;
      visit = value.visit;
      watcher?.disconnect();
      watcher = new IntersectionObserver((entries) => {
        for (const { isIntersecting, target } of entries) {
          if (!isIntersecting) continue;
          watcher.unobserve(target);
          fill(target);
        }
      }, { root: list, rootMargin: "0px 200px" });
      list.replaceChildren(...value.stacks.map((stack, number) => {
        const button = document.createElement("button");
        button.type = "button";
        button.dataset.stack = number;
        button.dataset.start = stack.start;
        button.title = name(stack);
        button.ariaLabel = name(stack);
        if (stack.count > 1) button.append(Object.assign(document.createElement("b"), { textContent: stack.count }));
        return button;
      }));
      if (!list.hidden) for (const button of list.children) watcher.observe(button);
    },
    mark(stack) {
      for (const button of list.children) button.ariaPressed = String(Number(button.dataset.stack) === stack);
      const pressed = list.children[stack];
      if (pressed && !list.hidden) list.scrollTo({ left: pressed.offsetLeft - list.clientWidth / 2 + 40 });
    },
  };
}
