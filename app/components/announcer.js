() => {
  // Reads out what has just happened, once, to those who do not see it: what comes into view with `data-said`.
  // What has `data-after` as well is said after the rest of what came with it.
  const KEPT = 10_000; // ms for which a sentence can be read again
  function spoken(name) {
    const region = Object.assign(document.createElement("div"), { className: `mm-hidden ${name}`, role: "status" });
    region.ariaLive = "polite";
    document.querySelector(".gradio-container .contain").append(region); // Gradio's style sheets hold there alone
    return region;
  }
  const region = spoken("mm-announcer"), loading = spoken("mm-loading");

  // A part whose words are the same again may say them again: `data-number` is another one then.
  const known = new WeakMap();
  const words = ({ dataset }) => `${dataset.number} ${dataset.said}`;

  // Words within it that are seen only at times.
  const also = (node) => [...node.querySelectorAll("[data-also]")].filter((part) => part.checkVisibility()).map((part) => part.textContent);

  function sweep() {
    waiting = 0;
    const fresh = [...document.querySelectorAll("[data-said]")].filter((node) => known.get(node) !== words(node));
    for (const node of fresh) known.set(node, words(node));
    const seen = fresh.filter((node) => node.dataset.said && node.checkVisibility());
    seen.sort((one, other) => ("after" in one.dataset) - ("after" in other.dataset));
    say(region, seen.flatMap((node) => [node.dataset.said, ...also(node)]).join(" "));
  }

  function say(where, said) {
    if (!said) return;
    const sentence = Object.assign(document.createElement("p"), { textContent: said });
    where.append(sentence);
    setTimeout(() => sentence.remove(), KEPT);
  }

  // Gradio reads out that it loads, how far it is, and, when it is done, the name of a sentence that it lacks
  // ("common.complete"). Its sentences are read out in a region of ours instead, names of sentences are not.
  const hushed = new WeakSet();
  const NAME = /^[a-z]+\.[a-z_.]+$/;

  function hush() {
    for (const node of document.querySelectorAll(".sr-only[role=status]")) {
      if (hushed.has(node)) continue;
      hushed.add(node);
      node.role = "none";
      node.ariaLive = "off";
      const forward = () => { const text = node.textContent.trim(); if (!NAME.test(text)) say(loading, text); };
      new MutationObserver(forward).observe(node, { childList: true, characterData: true, subtree: true });
    }
  }

  let waiting = 0;
  const wanted = { childList: true, subtree: true, attributeFilter: ["data-said", "data-number"] };
  new MutationObserver(() => { hush(); waiting ||= setTimeout(sweep, 150); }).observe(document.body, wanted);
  hush();
}
