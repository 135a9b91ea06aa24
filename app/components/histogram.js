// How the selected cases spread over a column beside all cases: bars that select what they stand for.
const BINS = 24; // of a column of numbers

function histogram(box, { data, ramp, codes, sentences, onPress }) {
  const [field, list] = [box.querySelector("select"), box.querySelector(".mm-bars")];
  let [flags, shown] = [null, 0];

  // What is counted together: a group, or a span of numbers; each with the first and last code of its cases.
  function spansOf({ groups, limits, dates }) {
    const named = groups.map(({ name, code, colour }) => ({ name, from: code, to: code, colour }));
    if (!limits) return named;
    const [low, high] = limits;
    const decimals = Math.min(6, Math.max(0, 1 - Math.floor(Math.log10((high - low) / BINS)))); // two digits of a span
    const words = rampWords({ limits, dates }, { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
    const written = (code) => words(code / codes.other);
    const step = (codes.other + 1) / BINS;
    const bins = Array.from({ length: BINS }, (_, i) => {
      const [from, to] = [Math.ceil(i * step), Math.ceil((i + 1) * step) - 1];
      const colour = ramp[Math.round((i / (BINS - 1)) * (ramp.length - 1))];
      return { name: `${written(from)} – ${written(to + 1)}`, from, to, colour };
    });
    return [...bins, ...named];
  }

  function bar(span, all, chosen, most, some) {
    const [button, name, track, count] = ["button", "span", "i", "small"].map((tag) => document.createElement(tag));
    button.type = "button";
    button.className = "mm-span";
    button.disabled = !all;
    button.title = sentences.press.replace("{}", span.name);
    name.textContent = span.name;
    track.style.setProperty("--all", all / most);
    track.style.setProperty("--chosen", (some ? chosen : all) / most);
    if (span.colour) track.style.setProperty("--colour", span.colour);
    count.textContent = some ? `${chosen.toLocaleString(document.documentElement.lang)} / ${all.toLocaleString(document.documentElement.lang)}` : all.toLocaleString(document.documentElement.lang);
    button.append(name, track, count);
    button.addEventListener("click", (event) => onPress(shown, span, event));
    return button;
  }

  async function draw() {
    const wanted = (shown = Number(field.value));
    list.ariaBusy = "true";
    const found = await Promise.all([data.column(wanted), data.facts(wanted)]).catch((error) => error);
    if (wanted !== shown) return; // another was asked for in the meantime
    list.ariaBusy = "false";
    if (found instanceof Error) {
      list.textContent = sentences.failed.replace("{}", found.message);
      return;
    }
    const [bytes, facts] = found;
    const [all, chosen] = [new Uint32Array(256), new Uint32Array(256)];
    const some = Boolean(flags);
    for (let i = 0; i < bytes.length; i++) {
      all[bytes[i]]++;
      if (some && flags[i]) chosen[bytes[i]]++;
    }
    const sum = (counts, { from, to }) => counts.subarray(from, to + 1).reduce((a, b) => a + b, 0);
    const spans = spansOf(facts).map((span) => ({ span, all: sum(all, span), chosen: sum(chosen, span) }));
    if (some && !facts.limits) spans.sort((a, b) => b.chosen - a.chosen || b.all - a.all);
    const most = Math.max(1, ...spans.map((each) => each.all));
    list.replaceChildren(...spans.map((each) => bar(each.span, each.all, each.chosen, most, some)));
  }

  field.addEventListener("change", draw);
  return {
    // `selected`: a flag a point, null where nothing is selected.
    show(selected) {
      flags = selected;
      return draw();
    },
  };
}
