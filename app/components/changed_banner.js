// Asks again and again whether the server still shows what this page was opened with, and says so where not.
(address, page, banner) => {
  const [SECONDS, PATIENCE] = [4, 40]; // between two questions; how often a press asks, each half a second
  async function changed() {
    const got = await fetch(`${address}?page=${page}`, { cache: "no-store" }).catch(() => null); // the server may be away
    return Boolean(got?.ok && (await got.json()).changed);
  }
  async function look() {
    if (document.hidden || document.querySelector(".mm-changed") || !(await changed())) return;
    if (!document.querySelector(".mm-changed")) document.querySelector("#header")?.insertAdjacentHTML("afterend", banner);
  }
  document.addEventListener("click", async (event) => {
    const button = event.target.closest?.(".mm-reload");
    if (!button || button.disabled) return;
    button.disabled = true;
    // What the server shows next may not be built yet: before that, the page would come back as it is.
    for (let asked = 0; asked < PATIENCE && !(await changed()); asked++) await new Promise((done) => setTimeout(done, 500));
    location.reload();
  });
  setInterval(look, SECONDS * 1000);
  document.addEventListener("visibilitychange", look);
}
