// The page of an exported collection: it has no server, so that what it shows comes from files beside it.
const held = new Map(); // name of a file of data → promise of what it holds
const arriving = new Map();
let sentences = {};

// What each file of data calls: a page that was opened from a disk may load scripts, and nothing else.
function mermedData(name, value) {
  arriving.get(name)?.(value);
  arriving.delete(name);
}

function broken(file) {
  const notice = document.getElementById("broken");
  const text = (sentences.broken ?? "This export is incomplete: the file {} is missing or damaged.").replace("{}", file);
  notice.hidden = false;
  if (!notice.textContent.includes(file)) notice.append(Object.assign(document.createElement("span"), { textContent: text }));
}

function load(name) {
  if (!held.has(name)) held.set(name, new Promise((done, fail) => {
    const file = `data/${name}.js`;
    const lost = () => {
      if (!arriving.has(name)) return;
      broken(file);
      fail(new Error(file));
    };
    arriving.set(name, done);
    const script = Object.assign(document.createElement("script"), { src: file, onerror: lost, onload: lost });
    document.head.append(script);
  }));
  return held.get(name);
}

const bytesOf = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

// The same as `servedData`, out of files.
function storedData(props) {
  const chunk = (number) => load(`records_${number}`);
  const numbers = Array.from({ length: Math.ceil(props.cases / props.chunk) }, (_, i) => i);
  const pictured = unpacked(bytesOf(props.pictured_points), props.cases);
  return {
    places: async () => new Uint16Array(bytesOf(await load("places")).buffer),
    column: async (number) => bytesOf(await load(`column_${number}`)),
    facts: async (number) => props.facts[number],
    order: async (name) => new Uint32Array(bytesOf(await load(`order_${props.listed.indexOf(name)}`)).buffer),
    picture: (point) => (pictured[point] ? `pictures/${Math.floor(point / props.chunk)}/${point}.jpg` : ""),
    records: (points) => Promise.all(points.map(async (point) => (await chunk(Math.floor(point / props.chunk)))[point % props.chunk])),
    // The points of its nearest cases, the nearest first.
    async nearest(point) {
      if (!props.nearest) return [];
      const all = new Uint32Array(bytesOf(await load("nearest")).buffer);
      return [...all.subarray(point * props.nearest, (point + 1) * props.nearest)].filter((near) => near < props.cases);
    },
    // A point that has a tag, or a note where the tag is "".
    async tagged(tag) {
      const all = (await Promise.all(numbers.map(chunk))).flat();
      return Uint8Array.from(all, (record) => Number(tag ? record.mm_tags.split(" | ").includes(tag) : Boolean(record.mm_note)));
    },
    async search(text) {
      const words = text.toLowerCase().split(/\s+/).filter(Boolean);
      const all = (await Promise.all(numbers.map(chunk))).flat();
      return Uint8Array.from(all, (record) => {
        const written = Object.values(record).join("\n").toLowerCase();
        return Number(words.every((word) => written.includes(word)));
      });
    },
    // Everything but the pictures, so that what is missing is known at once.
    everything: () => Promise.all([
      "places",
      ...props.names.map((_, i) => `column_${i}`),
      ...props.listed.map((_, i) => `order_${i}`),
      ...(props.nearest ? ["nearest"] : []),
      ...(numbers.length <= props.most_chunks ? numbers.map((i) => `records_${i}`) : []),
    ].map(load)),
  };
}

async function openCase(data, props, point) {
  const dialog = document.getElementById("case");
  dialog.dataset.point = point;
  const near = await data.nearest(point);
  const [record, ...others] = await data.records([point, ...near]);
  if (dialog.dataset.point !== String(point)) return; // another was pressed meanwhile
  const picture = (thumb, at, { modality }) => framed(thumb, data.picture(at), () => document.querySelector(`template[data-drawing="${CSS.escape(modality)}"]`).content.cloneNode(true));
  picture(dialog.querySelector(".mm-thumb"), point, record);
  dialog.querySelector("dl").replaceChildren(...props.listed.filter((name) => record[name]).flatMap((name) => {
    const [title, value] = ["dt", "dd"].map((tag) => document.createElement(tag));
    [title.textContent, value.textContent] = [props.titles[name], record[name]];
    return [title, value];
  }));
  const shown = dialog.querySelector(".mm-near");
  shown.hidden = !near.length;
  shown.querySelector("div").replaceChildren(...near.map((at, i) => {
    const [button, thumb, label] = ["button", "span", "small"].map((tag) => document.createElement(tag));
    button.type = "button";
    button.title = sentences.open.replace("{}", others[i].case);
    thumb.className = "mm-thumb";
    label.textContent = others[i].label || others[i].modality_name;
    button.append(thumb, label);
    picture(thumb, at, others[i]);
    button.addEventListener("click", () => openCase(data, props, at));
    return button;
  }));
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
}

async function beginPage() {
  const props = await load("props");
  sentences = props.sentences;
  const night = matchMedia("(prefers-color-scheme: dark)");
  const dress = () => document.documentElement.classList.toggle("dark", night.matches);
  dress();
  const watchers = [];
  const data = storedData(props);
  const field = document.getElementById("colour");
  field.replaceChildren(...props.names.map(({ title }, i) => new Option(title, i)));
  const colour = (number) => {
    if (!props.facts[number]) return;
    field.value = number;
    props.value = { column: number, ...props.facts[number], point: null };
    watchers.forEach((act) => act());
  };
  props.data = data;
  props.value = { column: 0, ...props.facts[0], point: null };
  field.addEventListener("change", () => colour(Number(field.value)));
  night.addEventListener("change", () => {
    dress();
    watchers.forEach((act) => act());
  });
  const trigger = (kind, { column, point }) => (kind === "input" ? colour(column) : openCase(data, props, point));
  await data.everything();
  explorer(document.getElementById("collection-map"), props, trigger, (_, act) => watchers.push(act));
}

document.addEventListener("error", (event) => {
  if (event.target instanceof HTMLImageElement) broken(event.target.getAttribute("src"));
}, true);
document.querySelector('.mm-lost[data-file="explorer.js"]').remove();
beginPage();
