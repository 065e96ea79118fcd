// Our own script, and the only one: tells of a new alert, locks the screen, and gives keys to the main pages.
// It brings nothing to the page but a number; what is shown comes with the page itself, which is logged.
"use strict";

(() => {
  const body = document.body;
  const seen = body.dataset.version;
  if (seen === undefined) {
    return;
  }
  const news = document.getElementById("news");
  const typing = () =>
    Array.from(document.querySelectorAll("input:not([type=hidden]), select")).some(
      (field) => field === document.activeElement || (field.defaultValue !== undefined && field.value !== field.defaultValue),
    );

  const look = async () => {
    try {
      const response = await fetch("/version", { cache: "no-store", credentials: "same-origin" });
      const told = await response.json();
      body.classList.remove("away");
      if (told.over) {
        location.replace("/unlock");
      } else if (String(told.version) !== seen) {
        if (body.dataset.live === "yes" && !typing()) {
          location.replace(`${location.pathname}?auto=1`);
        } else if (news !== null) {
          news.hidden = false;
        }
      }
    } catch {
      // The unit does not answer: what is on the screen may be old, and says so.
      body.classList.add("away");
    }
  };
  setInterval(look, 2000);

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) {
      return;
    }
    const target = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
    if (target !== null) {
      event.preventDefault();
      target.click();
    }
  });
})();
