// Asks again and again whether the server still shows what this page was opened with, and says so where not.
(address, page, banner) => {
  const SECONDS = 4;
  document.addEventListener("click", (event) => {
    if (event.target.closest?.(".mm-reload")) location.reload();
  });
  async function look() {
    if (document.hidden || document.querySelector(".mm-changed")) return;
    const got = await fetch(`${address}?page=${page}`, { cache: "no-store" }).catch(() => null); // the server may be away
    if (!got?.ok || !(await got.json()).changed || document.querySelector(".mm-changed")) return;
    document.querySelector("#header")?.insertAdjacentHTML("afterend", banner);
  }
  setInterval(look, SECONDS * 1000);
  document.addEventListener("visibilitychange", look);
}
