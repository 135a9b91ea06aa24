// How many neighbours the cases of two collections share, by modality; computed when somebody wants to know.
function overlapView(box, { data, sentences }) {
  const [said, list] = [box.querySelector("p"), box.querySelector("ul")];

  function bar({ name, colour, mean, ends, words }, chance) {
    const [item, title, track, figures] = ["li", "span", "i", "small"].map((tag) => document.createElement(tag));
    title.textContent = name;
    figures.textContent = words;
    const places = { mean, low: ends[0], high: ends[1], chance };
    for (const [place, value] of Object.entries(places)) track.style.setProperty(`--${place}`, value);
    if (colour) track.style.setProperty("--colour", colour);
    item.append(title, track, figures);
    return item;
  }

  const told = ({ seconds_left: left }) => left === null ? sentences.overlap_wait : sentences.overlap_left.replace("{}", left);

  async function compare() {
    said.textContent = sentences.overlap_wait;
    data.making((state) => {
      if (state) said.textContent = told(state);
    });
    try {
      const found = await data.overlap();
      said.textContent = found.said;
      list.replaceChildren(...found.shares.map((share) => bar(share, found.chance)));
    } catch (error) {
      if (!error.givenUp) said.textContent = sentences.overlap_failed.replace("{}", error.message);
      else if (box.open) compare(); // it was closed and opened again meanwhile
    }
  }

  box.addEventListener("toggle", () => {
    if (!box.open) data.giveUp();
    else if (!list.children.length) compare();
  });
}
