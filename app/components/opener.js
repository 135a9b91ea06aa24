// Files come in by choosing, dropping anywhere on the page (folders too) or pasting; they are sent a few at a time.
const { sentences, most_files: mostFiles, most_bytes: mostBytes } = props;
const AT_ONCE = 4;
const status = element.querySelector(".mm-sending");
let busy = false;

const seen = () => element.offsetParent !== null; // only while this tab is open

async function send(files) {
  const wanted = [...files].filter((file) => !file.name.startsWith("."));
  const list = wanted.filter((file) => file.size <= mostBytes);
  if (!wanted.length || busy) return;
  busy = true;
  status.hidden = false;
  const paths = [];
  let [next, done, failed] = [0, 0, false];
  const tell = () => { status.textContent = sentences.uploading.replace("{}", done).replace("{}", list.length); };
  const worker = async () => {
    while (next < list.length && !failed) {
      const place = next++;
      try {
        paths[place] = (await upload(list[place])).path;
      } catch {
        failed = true;
      }
      done++;
      tell();
    }
  };
  tell();
  if (list.length > mostFiles) failed = sentences.many;
  else await Promise.all(Array.from({ length: AT_ONCE }, worker));
  busy = false;
  if (list.length < wanted.length) failed ||= sentences.large;
  if (failed) {
    status.textContent = typeof failed === "string" ? failed : sentences.failed;
    if (!paths.some(Boolean)) return;
  } else status.hidden = true;
  element.dataset.asked = JSON.stringify(paths.filter(Boolean));
  trigger("upload", {});
}

// All files of a dropped folder, and of folders in it.
async function within(entry) {
  if (entry.isFile) return [await new Promise((done, fail) => entry.file(done, fail))];
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((done, fail) => reader.readEntries(done, fail));
    if (!some.length || found.length > mostFiles) break;
    for (const each of some) found.push(...await within(each));
  }
  return found.sort((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }));
}

const holdsFiles = (event) => event.dataTransfer?.types.includes("Files") && seen();
const elsewhere = (event) => !element.contains(event.target) && event.target.closest?.("input[type=file], .upload-container, [data-testid=file-upload]");
document.addEventListener("dragover", (event) => {
  if (!holdsFiles(event) || elsewhere(event)) return;
  event.preventDefault();
  document.body.classList.add("mm-dragged");
});
document.addEventListener("dragleave", (event) => event.relatedTarget || document.body.classList.remove("mm-dragged"));
document.addEventListener("drop", async (event) => {
  document.body.classList.remove("mm-dragged");
  if (!holdsFiles(event) || elsewhere(event)) return;
  event.preventDefault();
  event.stopPropagation();
  const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  const plain = [...event.dataTransfer.files];
  const nested = entries.some((entry) => entry.isDirectory);
  send(nested ? (await Promise.all(entries.map(within))).flat() : plain);
}, true);
document.addEventListener("paste", (event) => {
  const files = [...(event.clipboardData?.files ?? [])];
  if (!files.length || !seen() || event.target.closest?.("input, textarea")) return;
  event.preventDefault();
  send(files);
});

element.addEventListener("change", (event) => {
  send(event.target.files);
  event.target.value = "";
});
element.querySelector("button").addEventListener("click", () => {
  const chooser = Object.assign(document.createElement("input"), { type: "file", webkitdirectory: true });
  chooser.onchange = () => send([...chooser.files].sort((a, b) => a.webkitRelativePath.localeCompare(b.webkitRelativePath, "en", { numeric: true })));
  chooser.click();
});
element.dataset.listens = "files"; // for tests: what is dropped before is lost
