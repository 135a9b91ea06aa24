// Tags and notes beside the collection: everybody reads them; who may write tags what is selected, notes on one
// case, and takes back what they did.
function notesView(box, { data, sentences, on }) {
  const part = (selector) => box.querySelector(selector);
  const [tagging, noting, list, told] = [part("[data-write=tag]"), part("[data-write=note]"), part("ul"), part(".mm-notes-told")];
  const undos = []; // what takes each change of this visitor back, the last one at the end
  let [writable, chosen] = [false, { points: [], count: 0 }];

  const filled = (name, ...values) => values.reduce((text, value) => text.replace("{}", () => value), sentences[name]);

  function entry({ name, count }) {
    const [item, open, number, take] = ["li", "button", "span", "button"].map((tag) => document.createElement(tag));
    [open.type, take.type] = ["button", "button"];
    open.textContent = name || sentences.noted;
    open.title = name ? filled("has_tag", name) : sentences.noted;
    number.textContent = count.toLocaleString(document.documentElement.lang);
    open.addEventListener("click", () => on.tagged(name));
    item.append(open, number);
    if (!name || !writable) return item;
    take.textContent = "×";
    take.ariaLabel = take.title = filled("untag", name);
    take.addEventListener("click", () => write(() => tag(name, on.selection(false).bits, false)));
    item.append(take);
    return item;
  }

  async function show() {
    const state = await data.notes();
    writable = state.writable;
    const all = [...state.tags, ...(state.noted ? [{ name: "", count: state.noted }] : [])];
    list.replaceChildren(...all.map(entry));
    part("datalist").replaceChildren(...state.tags.map(({ name }) => new Option(name)));
    part(".mm-notes-closed").hidden = writable;
    for (const each of box.querySelectorAll(".mm-notes-open")) each.hidden = !writable;
    if (state.problem) told.textContent = state.problem;
    else if (!all.length && !told.textContent) told.textContent = sentences.nothing_noted;
    await arrange();
  }

  // What can be written follows from how many cases are selected.
  async function arrange() {
    tagging.querySelector(".mm-primary").disabled = !chosen.count;
    part("[data-undo]").hidden = !undos.length;
    const point = chosen.count === 1 ? chosen.points[0] : -1;
    noting.hidden = !writable || point < 0;
    part(".mm-note-hint").hidden = !writable || point >= 0;
    if (noting.hidden) return;
    const [record] = await data.records([point]);
    noting.querySelector("b").textContent = filled("note_on", record.case);
    noting.elements.text.value = record.mm_note;
  }

  async function tag(name, bits, give) {
    const { changed, count } = await (await data.post("notes/tag", { tag: name, bits, on: give })).json();
    if (count) undos.push(() => data.post("notes/tag", { tag: name, bits: changed, on: !give }));
    return filled("tag_done", name, count.toLocaleString(document.documentElement.lang));
  }

  async function note(point, text) {
    const { before } = await (await data.post("notes/note", { point, text })).json();
    undos.push(() => data.post("notes/note", { point, text: before }));
    return sentences.note_done;
  }

  async function undo() {
    await undos.at(-1)();
    undos.pop();
    return sentences.undone;
  }

  async function write(change) {
    try {
      told.textContent = await change();
    } catch (error) {
      told.textContent = filled("failed", error.message);
      return;
    }
    data.forget();
    await on.changed();
    await show();
  }

  box.addEventListener("submit", (event) => {
    event.preventDefault();
    if (event.target === noting) return write(() => note(chosen.points[0], noting.elements.text.value));
    const name = tagging.elements.tag.value.trim();
    return name && write(() => tag(name, on.selection(false).bits, true));
  });
  part("[data-undo]").addEventListener("click", () => write(undo));

  return {
    show,
    // `points` are those of the selection, none where nothing is selected.
    chose(points) {
      chosen = { points, count: points.length };
      if (!box.hidden) arrange();
    },
  };
}
