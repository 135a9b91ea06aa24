// Two selections beside each other: what differs most, their mean pictures, whether their vectors differ.
function compareView(box, { data, sentences, on }) {
  const part = (selector) => box.querySelector(selector);
  const sides = [null, null]; // each with the words and the bits of a selection

  function told() {
    for (const at of [0, 1]) part(`[data-side="${at}"] output`).textContent = sides[at]?.words ?? sentences.no_side;
    part("[data-compare]").disabled = !sides[0] || !sides[1];
  }

  function bar(share, kind) {
    const track = document.createElement("i");
    track.className = `mm-side-${kind}`;
    track.style.setProperty("--share", share);
    return track;
  }

  function column({ title, values }) {
    const card = Object.assign(document.createElement("div"), { className: "mm-difference" });
    card.append(Object.assign(document.createElement("h3"), { textContent: title }));
    for (const { name, shares } of values) {
      const line = document.createElement("p");
      const [label, first, second] = ["span", "small", "small"].map((tag) => document.createElement(tag));
      label.textContent = name;
      [first, second].forEach((node, at) => (node.textContent = shares[at].toLocaleString(document.documentElement.lang, { style: "percent", maximumFractionDigits: 1 })));
      line.append(label, bar(shares[0], "a"), first, bar(shares[1], "b"), second);
      card.append(line);
    }
    return card;
  }

  function show({ sentence, columns, pictures }) {
    part(".mm-compared-said").textContent = sentence;
    part(".mm-means").replaceChildren(...pictures.flatMap((address, at) => {
      if (!address) return [];
      const [figure, caption] = ["figure", "figcaption"].map((tag) => document.createElement(tag));
      caption.textContent = sentences[at ? "second_mean" : "first_mean"];
      figure.append(Object.assign(new Image(), { src: address, alt: caption.textContent }), caption);
      return [figure];
    }));
    part(".mm-differences").replaceChildren(...columns.map(column));
  }

  box.addEventListener("click", async (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.dataset.side) {
      sides[button.dataset.side] = on.selection(button.dataset.of === "others");
      return told();
    }
    button.disabled = true;
    part(".mm-compared-said").textContent = sentences.comparing;
    try {
      const answer = await data.post("compare", { first: sides[0].bits, second: sides[1].bits });
      show(await answer.json());
    } catch (error) {
      part(".mm-compared-said").textContent = sentences.failed.replace("{}", error.message);
    }
    told();
  });
  told();
  return { show: told };
}
