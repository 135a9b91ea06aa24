// What may be wrong: ranked lists that are made on demand, decided on one by one, taken along as CSV.
const [SUSPECT_HEIGHT, NARROW_SUSPECT_HEIGHT] = [104, 164]; // px, as the style has them
const DECISIONS = ["accepted", "dismissed"];
const BUTTONS = 1 + DECISIONS.length; // of a suspect: its pictures and the decisions

function checksView(box, { data, drawing, version, sentences, on }) {
  const part = (selector) => box.querySelector(selector);
  const place = `mermed-checks-${version}`; // in this browser alone
  const decided = JSON.parse(localStorage.getItem(place) ?? "{}");
  const rows = virtualRows(part(".mm-suspects"), {
    height: () => (matchMedia("(max-width: 760px)").matches ? NARROW_SUSPECT_HEIGHT : SUSPECT_HEIGHT),
    make: row,
    settled: () => {},
    items: (line) => [...line.querySelectorAll("button")],
    total: () => shown.length * BUTTONS,
    across: () => BUTTONS,
  });
  let [result, shown, watching, awaited, asked] = [null, [], 0, "", ""];

  const digits = new Intl.NumberFormat(document.documentElement.lang, { maximumFractionDigits: 3 });
  // Decisions were once kept by the sentence as it was read.
  const spokenKeyOf = (suspect) => `${result.name} ${suspect.cases.join(" ")} ${suspect.reason}`.slice(0, 300);
  const filled = (name, ...values) => values.reduce((text, value) => text.replace("{}", () => value), sentences[name]);

  async function watch() {
    clearTimeout(watching);
    const state = await data.checks();
    part("[data-check=start]").hidden = state.running || state.complete;
    part("[data-check=cancel]").hidden = !state.running;
    part("progress").hidden = !state.running;
    part("progress").max = state.total || 1;
    if (state.total) part("progress").value = state.done;
    else part("progress").removeAttribute("value");
    part(".mm-check-told").textContent = told(state);
    list(state.checks);
    if (state.running) watching = setTimeout(watch, 1500);
  }

  function told({ running, complete, failed, step, seconds_left: left, checks }) {
    if (failed) return filled("check_failed", failed);
    const begun = checks.some(({ name }) => !name.startsWith("drift-")); // those are looked for by themselves
    if (!running) return complete ? "" : begun ? sentences.check_stopped : sentences.check_idle;
    return left === null ? filled("checking", step) : filled("checking_left", step, left.toLocaleString(document.documentElement.lang));
  }

  function list(checks) {
    const buttons = checks.map(({ name, title, flagged, listed }) => {
      const button = document.createElement("button");
      button.type = "button";
      button.dataset.found = name;
      button.ariaPressed = String(name === result?.name);
      button.textContent = `${title} `;
      button.append(Object.assign(document.createElement("small"), { textContent: filled("flagged", digits.format(flagged), digits.format(listed)) }));
      button.title = filled("flagged_of", digits.format(flagged), digits.format(listed));
      return button;
    });
    part(".mm-check-list").replaceChildren(...buttons);
    const next = checks.find(({ name }) => name === awaited) ?? (result ? null : checks[0]);
    if (next) show(next.name);
  }

  async function show(name) {
    awaited = "";
    asked = name;
    const found = await data.found(name);
    if (asked !== name) return; // another was asked for since, whose answer came first or is to come
    result = found;
    moveSpokenKeys();
    for (const button of box.querySelectorAll("[data-found]")) button.ariaPressed = String(button.dataset.found === name);
    part(".mm-check-about").hidden = false;
    part(".mm-check-measure").textContent = result.measure;
    part(".mm-check-accuracy").textContent = [result.accuracy, ...result.notes].join(" ");
    arrange();
  }

  function moveSpokenKeys() {
    const moved = result.suspects.filter((suspect) => spokenKeyOf(suspect) !== suspect.key && decided[spokenKeyOf(suspect)]);
    for (const suspect of moved) {
      decided[suspect.key] ??= decided[spokenKeyOf(suspect)];
      delete decided[spokenKeyOf(suspect)];
    }
    if (moved.length) localStorage.setItem(place, JSON.stringify(decided));
  }

  function arrange() {
    const wanted = part(".mm-check-order").value;
    const all = [...result.suspects];
    if (wanted === "least") all.reverse();
    if (wanted === "reason") all.sort((a, b) => a.reason.localeCompare(b.reason) || b.score - a.score);
    const keep = { open: (it) => !decided[it.key], accepted: (it) => decided[it.key] === "accepted", dismissed: (it) => decided[it.key] === "dismissed", flagged: (it) => it.flagged }[part(".mm-check-show").value];
    shown = keep ? all.filter(keep) : all;
    part(".mm-check-count").textContent = all.length ? filled("suspects", digits.format(shown.length), digits.format(all.length)) : sentences.no_suspects;
    part(".mm-check-count").parentElement.classList.toggle("mm-alone", !all.length);
    rows.show(shown.length);
  }

  function row(number) {
    const suspect = shown[number];
    const line = document.createElement("div");
    line.className = "mm-suspect";
    line.dataset.at = number;
    const pictures = document.createElement("button");
    pictures.type = "button";
    pictures.className = "mm-suspect-pictures";
    pictures.title = pictures.ariaLabel = sentences.light;
    suspect.points.slice(0, 3).forEach((point) => pictures.append(thumb(point)));
    const [text, reason, about] = ["div", "p", "small"].map((tag) => document.createElement(tag));
    reason.textContent = suspect.reason;
    about.textContent = [`${digits.format(suspect.score)}${suspect.flagged ? ` · ${sentences.is_flagged}` : ""}`, suspect.cases.slice(0, 3).join(", ")].join(" · ");
    about.title = suspect.cases.join(", ");
    text.append(reason, about);
    line.append(pictures, text, decisions(suspect));
    return line;
  }

  function thumb(point) {
    const frame = Object.assign(document.createElement("span"), { className: "mm-thumb" });
    data.records([point]).then(([record]) => framed(frame, data.picture(point), () => drawing(record.modality)));
    return frame;
  }

  function decisions(suspect) {
    const both = Object.assign(document.createElement("span"), { className: "mm-switch" });
    for (const decision of DECISIONS) {
      const button = document.createElement("button");
      button.type = "button";
      button.dataset.decide = decision;
      button.textContent = sentences[decision];
      button.ariaPressed = String(decided[suspect.key] === decision);
      both.append(button);
    }
    return both;
  }

  function decide(suspect, decision, buttons) {
    const { key } = suspect;
    if (decided[key] === decision) delete decided[key];
    else decided[key] = decision;
    localStorage.setItem(place, JSON.stringify(decided));
    for (const button of buttons.children) button.ariaPressed = String(decided[key] === button.dataset.decide);
  }

  // A spreadsheet takes a text that begins so for a formula.
  const cell = (value) => (typeof value !== "string" ? String(value) : `"${value.replace(/^[=+\-@\t\r]/, "'$&").replaceAll('"', '""')}"`);
  function table() {
    const head = ["rank", "decision", "flagged", "score", "reason", "cases"];
    const lines = result.suspects.map((suspect, i) => [i + 1, decided[suspect.key] ?? "", suspect.flagged, suspect.score, suspect.reason, suspect.cases.join(" ")]);
    return [head, ...lines].map((line) => line.map(cell).join(",")).join("\r\n");
  }

  box.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return undefined;
    const suspect = shown[button.closest(".mm-suspect")?.dataset.at];
    if (button.dataset.check) return data.post(`checks/${button.dataset.check}`, {}).then(watch);
    if (button.dataset.found) return show(button.dataset.found);
    if (button.dataset.decide) return decide(suspect, button.dataset.decide, button.parentElement);
    if (button.matches(".mm-suspect-pictures")) return on.light(suspect.points);
    if (button.matches(".mm-check-light")) return on.light([...new Set(shown.flatMap((each) => each.points))]);
    if (button.matches(".mm-check-table")) return save(new Blob([table()], { type: "text/csv" }), `${result.name}.csv`);
    return undefined;
  });
  part(".mm-drift")?.addEventListener("submit", (event) => {
    event.preventDefault();
    const column = event.target.elements.column.value;
    awaited = `drift-${column}`;
    data.post("checks/compare", { column }).then(watch);
  });
  for (const field of box.querySelectorAll(".mm-check-about select")) field.addEventListener("change", arrange);

  return { show: () => watch() };
}
