// The legend of a map: what each colour means and how many points have it; pressing an entry selects them.
const SEARCHED_FROM = 12; // entries

const hueOf = (hex) => {
  const value = parseInt(hex.slice(1), 16);
  return (0xff000000 | ((value & 255) << 16) | (value & 0xff00) | (value >> 16)) >>> 0; // as pixels lie in memory
};

const cssOf = (hue) => `rgb(${hue & 255} ${(hue >> 8) & 255} ${(hue >> 16) & 255})`;

// A colour for each of 256 codes. Groups beyond the palette are grey until they are selected: then each of them
// takes a colour that no other selected group has.
function huesOf({ groups, limits }, { palette, ramp, codes, grey }, present) {
  const hues = new Uint32Array(256).fill(hueOf(grey));
  if (limits) {
    const stops = ramp.map((hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)));
    for (let code = 0; code <= codes.other; code++) {
      const place = (code / codes.other) * (stops.length - 1);
      const left = Math.min(stops.length - 2, Math.floor(place));
      const part = [0, 1, 2].map((k) => Math.round(stops[left][k] + (stops[left + 1][k] - stops[left][k]) * (place - left)));
      hues[code] = (0xff000000 | (part[2] << 16) | (part[1] << 8) | part[0]) >>> 0;
    }
    return hues;
  }
  for (const group of groups) if (group.colour) hues[group.code] = hueOf(group.colour);
  if (!present) return hues;
  const taken = new Set(groups.filter((group) => group.colour && present[group.code]).map((group) => group.colour));
  const free = palette.filter((colour) => !taken.has(colour));
  for (const group of groups)
    if (!group.colour && group.code < codes.other && present[group.code] && free.length) hues[group.code] = hueOf(free.shift());
  return hues;
}

function mapLegend(box, { sentences, ramp, onPress }) {
  const [field, list, words] = [box.querySelector("input"), box.querySelector("ul"), box.querySelector(".mm-legend-about")];

  function entry(group) {
    const [item, button, name, count] = ["li", "button", "span", "small"].map((tag) => document.createElement(tag));
    button.type = "button";
    button.dataset.code = group.code;
    button.title = sentences.press.replace("{}", group.name);
    name.textContent = group.name; // as text: a name never becomes markup
    count.textContent = group.count.toLocaleString(document.documentElement.lang);
    button.append(document.createElement("i"), name, count);
    item.append(button);
    return item;
  }

  function scale(facts) {
    const item = document.createElement("li");
    item.className = "mm-map-ramp";
    const bar = document.createElement("i");
    bar.style.background = `linear-gradient(90deg, ${ramp.join(", ")})`;
    const written = rampWords(facts, { maximumSignificantDigits: 4 });
    const ends = [0, 1].map((place) => Object.assign(document.createElement("span"), { textContent: written(place) }));
    item.append(ends[0], bar, ends[1]);
    return item;
  }

  function search() {
    const wanted = field.value.trim().toLowerCase();
    for (const item of list.children)
      item.hidden = !item.matches(".mm-map-ramp") && !item.querySelector("span").textContent.toLowerCase().includes(wanted);
  }
  field.addEventListener("input", search);
  list.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) onPress(Number(button.dataset.code), button.ariaPressed === "true", event);
  });

  function say(text) {
    words.textContent = text ?? "";
    words.hidden = !text;
  }

  return {
    say,
    show({ groups, limits, dates }) {
      field.value = "";
      field.hidden = groups.length <= SEARCHED_FROM;
      list.replaceChildren(...(limits ? [scale({ limits, dates })] : []), ...groups.map(entry));
      list.scrollTop = 0;
    },
    // Colours the entries, and presses those of which all points are selected.
    mark(hues, selectedOf, groups) {
      const counts = new Map(groups.map((group) => [group.code, group.count]));
      for (const button of list.querySelectorAll("button")) {
        const code = Number(button.dataset.code);
        button.firstChild.style.background = cssOf(hues[code]);
        button.ariaPressed = String(Boolean(selectedOf) && selectedOf[code] === counts.get(code));
        button.classList.toggle("mm-unlit", Boolean(selectedOf) && !selectedOf[code]);
        button.lastChild.textContent = selectedOf?.[code]
          ? `${selectedOf[code].toLocaleString(document.documentElement.lang)} / ${counts.get(code).toLocaleString(document.documentElement.lang)}`
          : counts.get(code).toLocaleString(document.documentElement.lang);
      }
    },
  };
}
