// Takes the selected cases along as files, which are made when they are asked for.
function selectionExport(box, { data, bits, sentences }) {
  const told = box.querySelector(".mm-told");

  async function take(kind, button) {
    button.disabled = true;
    told.textContent = "";
    try {
      const answer = await data.post(`export/${kind}`, { bits: bits() });
      save(await answer.blob(), answer.headers.get("Content-Disposition")?.match(/filename="(.+)"/)?.[1] ?? kind);
    } catch (error) {
      told.textContent = sentences.failed.replace("{}", error.message);
    }
    button.disabled = false;
  }

  box.addEventListener("click", (event) => {
    const button = event.target.closest("[data-take]");
    if (button) take(button.dataset.take, button);
  });
}

// Hands bytes to the visitor as a file.
function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}
