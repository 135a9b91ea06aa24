// What went wrong is brought into view: on a phone it stands below what was pressed.
watch("value", () => element.querySelector(".mm-error")?.scrollIntoView({ block: "nearest" }));
