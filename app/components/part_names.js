(sentences) => {
  // Names parts of Gradio's that it leaves without a name, or names in English on every page. `sentences` has
  // "words", what Gradio says and what is said instead, and names with a gap for what a part belongs to.
  const text = (node) => node?.textContent.trim() ?? "";
  const label = (node) => text(node.closest(".block")?.querySelector("[data-testid=block-label], [data-testid=block-info]"));
  const of = (sentence, name) => sentence.replace("{}", () => name);

  // The last heading before a table.
  function headingOf(table) {
    const headings = [...table.closest(".prose").querySelectorAll("h1, h2, h3, h4")];
    return text(headings.findLast((heading) => heading.compareDocumentPosition(table) & Node.DOCUMENT_POSITION_FOLLOWING));
  }

  const NAMES = {
    "[role=tabpanel]": () => text(document.querySelector("[role=tab][aria-selected=true]")),
    "[role=listbox]": (list) => document.querySelector(`[aria-controls="${CSS.escape(list.id)}"]`)?.ariaLabel,
    "fieldset.block": label,
    "button.upload-container": (button) => [label(button), text(button)].filter(Boolean).join(": "),
    "[data-testid=number-input], [data-testid=range-input]": label,
    "[data-testid=reset-button]": (button) => of(sentences.reset, label(button)),
    ".token-remove:not(.remove-all)": (cross) => of(sentences.remove, text(cross.parentElement)),
    ".token-remove.remove-all": (cross) => of(sentences.remove_all, label(cross)),
    ".prose table": headingOf,
  };

  // What Gradio says in English, as a name or as words that are seen.
  function translate() {
    for (const [english, said] of Object.entries(sentences.words)) {
      for (const attribute of ["aria-label", "title"])
        for (const node of document.querySelectorAll(`[${attribute}="${english}"]`)) node.setAttribute(attribute, said);
      for (const button of document.querySelectorAll(".upload-container button"))
        for (const node of button.firstElementChild?.childNodes ?? [])
          if (node.nodeType === Node.TEXT_NODE && node.nodeValue.trim() === english) node.nodeValue = ` ${said}`;
    }
  }

  // Gradio gives each radio button a name of its own, which makes each a stop for the Tab key. As one group they are
  // one stop, and the arrow keys choose.
  function group() {
    for (const radio of document.querySelectorAll("fieldset[id] input[type=radio]")) {
      const name = `of-${radio.closest("fieldset").id}`;
      if (radio.name !== name) radio.name = name;
    }
  }

  function sweep() {
    waiting = 0;
    group();
    for (const [selector, nameOf] of Object.entries(NAMES))
      for (const node of document.querySelectorAll(selector)) {
        if (node.dataset.named === node.ariaLabel && !selector.startsWith(".token")) continue;
        const name = nameOf(node);
        if (name) node.ariaLabel = node.dataset.named = name;
      }
    for (const drawn of document.querySelectorAll("svg:not([aria-hidden], [aria-label], [role])")) drawn.ariaHidden = "true";
    for (const opener of document.querySelectorAll(".label-wrap")) {
      opener.ariaExpanded = String(opener.classList.contains("open"));
      opener.querySelector(".icon").ariaHidden = "true";
    }
    translate();
  }

  let waiting = 0;
  const later = () => { waiting ||= setTimeout(sweep, 100); };
  new MutationObserver(later).observe(document.body, { childList: true, subtree: true });
  document.addEventListener("click", later);
  sweep();
}
