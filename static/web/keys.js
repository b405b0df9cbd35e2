// A new key leaves the screen with the page, also where the browser keeps pages for its back button; chosen keys are counted.
(() => {
  "use strict";
  const once = document.querySelectorAll("[data-once]");
  if (once.length) {
    const back = document.querySelector("[data-back]").dataset.back;
    history.replaceState(null, "", back); // neither reloading nor coming back sends the form again
    addEventListener("pagehide", () => once.forEach((node) => { node.textContent = ""; }));
    addEventListener("pageshow", (event) => { if (event.persisted) location.replace(back); });
  }
  for (const form of document.querySelectorAll("form[data-chosen]")) {
    const count = form.querySelector("[data-count]");
    const none = form.querySelector("[data-none]");
    const button = form.querySelector(".bulk button");
    const show = () => {
      const chosen = form.querySelectorAll("input[name=key]:checked").length;
      count.textContent = chosen === 1 ? count.dataset.one : count.dataset.many.replace("{n}", String(chosen));
      count.hidden = !chosen;
      none.hidden = Boolean(chosen);
      button.disabled = !chosen;
    };
    form.addEventListener("change", show);
    addEventListener("pageshow", show);
    show();
  }
})();
