// What changes here is read out.
element.setAttribute("aria-live", "polite");
