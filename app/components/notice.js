// What went wrong is brought into view: on a phone it stands below what was pressed. It is read out as well.
element.setAttribute("aria-live", "polite");
watch("value", () => element.querySelector(".mm-error")?.scrollIntoView({ behavior: "smooth", block: "nearest" }));
