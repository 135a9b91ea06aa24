() => {
  // Reads out what has just happened, once, to those who do not see it: what comes into view with `data-said`.
  // What has `data-after` as well is said after the rest of what came with it.
  const KEPT = 10_000; // ms for which a sentence can be read again
  const region = Object.assign(document.createElement("div"), { className: "mm-hidden mm-announcer", role: "status" });
  region.ariaLive = "polite";
  document.querySelector(".gradio-container .contain").append(region); // Gradio's style sheets hold there alone

  // A part whose words are the same again may say them again: `data-number` is another one then.
  const known = new WeakMap();
  const words = ({ dataset }) => `${dataset.number} ${dataset.said}`;

  function sweep() {
    waiting = 0;
    const fresh = [...document.querySelectorAll("[data-said]")].filter((node) => known.get(node) !== words(node));
    for (const node of fresh) known.set(node, words(node));
    const seen = fresh.filter((node) => node.dataset.said && node.checkVisibility());
    seen.sort((one, other) => ("after" in one.dataset) - ("after" in other.dataset));
    const said = seen.map((node) => node.dataset.said).join(" ");
    if (!said) return;
    const sentence = Object.assign(document.createElement("p"), { textContent: said });
    region.append(sentence);
    setTimeout(() => sentence.remove(), KEPT);
  }

  let waiting = 0;
  const wanted = { childList: true, subtree: true, attributeFilter: ["data-said", "data-number"] };
  new MutationObserver(() => { waiting ||= setTimeout(sweep, 150); }).observe(document.body, wanted);
}
