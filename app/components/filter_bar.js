// What is selected as a sentence whose parts are buttons: a press takes a part out. Beside it text is searched.
const WITH = 3.5; // rank of a column that has no words of its own, after those that have
const FIRST_COLUMNS = ["modality", "source", "label"]; // in the order in which a sentence names them

// `steps` lead to the selection; `on` has change(steps).
function filterBar(box, { data, columns, sentences, on }) {
  const [sentence, field] = [box.querySelector(".mm-sentence"), box.querySelector(".mm-find")];
  let steps = [];
  let said = { some: false, count: 0, all: 0 }; // what the sentence says now

  const filled = (name, ...values) => values.reduce((text, value) => text.replace("{}", () => value), sentences[name]);

  const tally = (...numbers) => filled("tally", ...numbers.map((number) => number.toLocaleString(document.documentElement.lang)));

  // The words of a step, and where they stand among others that narrow down the same cases.
  async function words({ what, numbers, text }) {
    if (what === "text") return { rank: 6, text: filled("holding", text) };
    if (what === "given") return { rank: 3, text: text ? filled("tagged", text) : sentences.noted };
    if (what === "around") return { rank: 5, text: sentences.outlined };
    if (what === "beside") return { rank: 5, text: sentences.beside };
    if (what === "points") return { rank: 4, text: numbers.length === 1 ? sentences.one : filled("some", numbers.length.toLocaleString(document.documentElement.lang)) };
    const [column, from, to = from] = numbers;
    const { name, title, words: own } = columns[column];
    const facts = await data.facts(column);
    const { groups, limits } = facts;
    const value = limits && from !== to && what === "span"
      ? filled("between", ...[from, to + 1].map((code) => rampWords(facts, { maximumSignificantDigits: 4 })(code / props.codes.other)))
      : groups.find(({ code }) => code === from)?.name ?? "";
    if (own) return { rank: 3, text: own.replace("{}", () => value) };
    const rank = FIRST_COLUMNS.indexOf(name);
    if (rank >= 0) return { rank, text: filled(name, value) };
    if (from === to && from === props.codes.missing) return { rank: WITH, text: filled("without", title) };
    return { rank: WITH, text: filled("with", title, value), further: filled("further", title, value) };
  }

  // What narrows down the same cases, in the order in which a sentence says it; of one kind one after another, such as
  // "with Age 40 to 60, Sex F and Date 2020".
  function breath(run) {
    run.sort((a, b) => a.rank - b.rank);
    return run.flatMap((each, i) => {
      const before = run[i - 1];
      if (!before || !each.rank || Math.floor(before.rank) !== Math.floor(each.rank)) return [part(each, each.at)];
      const listed = before.further && each.further;
      return [listed && run[i + 1]?.further ? "comma" : "add", part({ text: listed || each.text }, each.at)];
    });
  }

  function part({ text }, at) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = text;
    button.title = button.ariaLabel = filled("take", text);
    button.addEventListener("click", () => on.change(withoutStep(steps, at)));
    return button;
  }

  // Buttons and names of sentences as they are read: without a gap inside brackets, capitals only at the beginning.
  function joined(nodes) {
    return nodes.flatMap((node, at) => {
      const said = typeof node !== "string" ? node : sentences[node === "cases" && at ? "more_cases" : node];
      const close = node === "inverted" || nodes[at + 1] === "comma" || nodes[at + 1] === "inverted_end" || at === nodes.length - 1;
      return close ? [said] : [said, " "];
    });
  }

  // Steps that narrow down the one set before them are said in one breath: "CT from covid_ct labelled covid".
  async function say(count, all) {
    const now = steps;
    const parts = await Promise.all(now.map((step) => (step.how === "invert" ? null : words(step))));
    if (now !== steps) return;
    const nodes = [];
    let run = [];
    let term = 0;
    const flush = () => {
      const first = Math.min(...run.map(({ rank }) => rank));
      if (run.length && first && !["keep", "remove"].includes(nodes.at(-1))) nodes.push("cases"); // else "those"
      nodes.push(...breath(run));
      run = [];
    };
    now.forEach(({ how }, at) => {
      if (how === "keep" && term === 1) return run.push({ ...parts[at], at });
      flush();
      if (how === "invert") nodes.unshift("inverted"), nodes.push("inverted_end");
      else if (how !== "new") nodes.push(how);
      if (how !== "invert") run.push({ ...parts[at], at });
      term = how === "new" ? 1 : 2;
      return undefined;
    });
    flush();
    sentence.replaceChildren(...joined(nodes), ...(nodes.length ? [", "] : []), tally(count, all));
    said = { some: true, count, all };
  }

  let waiting = 0;
  function search() {
    clearTimeout(waiting);
    const text = field.value.trim();
    const at = steps.findLastIndex(({ what }) => what === "text");
    if ((steps[at]?.text ?? "") === text) return;
    if (!text) on.change(withoutStep(steps, at));
    else if (at >= 0) on.change(steps.map((step, i) => (i === at ? { ...step, text } : step)));
    else on.change([...steps, { how: steps.length ? "keep" : "new", what: "text", text }]);
  }
  field.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(search, 400);
  });
  field.addEventListener("change", search);
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !field.value) return;
    field.value = "";
    search();
  });

  return {
    show(wanted, count, all) {
      steps = wanted;
      const text = steps.findLast(({ what }) => what === "text")?.text ?? "";
      if (document.activeElement !== field) field.value = text;
      if (steps.length) return say(count, all);
      said = { some: false, count: all, all };
      return sentence.replaceChildren(filled("all_cases", all.toLocaleString(document.documentElement.lang)));
    },
    // What is selected in words, or everything else; each with how many cases these are.
    words(others) {
      const { some, count, all } = said;
      if (!others) return sentence.textContent;
      const selected = some ? sentence.textContent.slice(0, -`, ${tally(count, all)}`.length) : sentence.textContent;
      return `${filled("all_but", selected)}, ${tally(all - count, all)}`;
    },
  };
}
