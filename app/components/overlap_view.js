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

  box.addEventListener("toggle", async () => {
    if (!box.open || list.children.length) return;
    said.textContent = sentences.overlap_wait;
    try {
      const found = await data.overlap();
      said.textContent = found.said;
      list.replaceChildren(...found.shares.map((share) => bar(share, found.chance)));
    } catch (error) {
      said.textContent = sentences.overlap_failed.replace("{}", error.message);
    }
  });
}
