// Views of the map that a visitor gave names: addresses that this browser keeps, for this collection alone.
function savedViews(box, { version, sentences, on }) {
  const place = `mermed-views-${version}`;
  const [form, list] = [box.querySelector("form"), box.querySelector("ul")];
  const read = () => JSON.parse(localStorage.getItem(place) ?? "[]");

  function keep(views) {
    localStorage.setItem(place, JSON.stringify(views));
    show();
  }

  function entry({ name, note, address }, at) {
    const [item, open, words, gone] = ["li", "button", "span", "button"].map((tag) => document.createElement(tag));
    [open.type, gone.type] = ["button", "button"];
    open.textContent = name;
    words.textContent = note;
    gone.textContent = "×";
    gone.ariaLabel = gone.title = sentences.forget.replace("{}", () => name);
    open.addEventListener("click", () => on.restore(address));
    gone.addEventListener("click", () => keep(read().filter((_, i) => i !== at)));
    item.append(open, words, gone);
    return item;
  }

  function show() {
    const views = read();
    list.replaceChildren(...views.map(entry));
    list.hidden = !views.length;
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const [name, note] = ["name", "note"].map((field) => form.elements[field].value.trim());
    if (!name) return;
    keep([...read().filter((view) => view.name !== name), { name, note, address: on.address() }]);
    form.reset();
  });
  show();
  return { show };
}
