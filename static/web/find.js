// “Find anything” in a window over every page: Ctrl+K opens it, arrows choose. Without it, its links lead to its page.
(() => {
  "use strict";
  const dialog = document.getElementById("find");
  const input = document.getElementById("find-q");
  const said = document.getElementById("find-said");
  const found = document.getElementById("find-found");
  const choices = () => [...found.querySelectorAll("[role=option]")];
  const chosen = () => found.querySelector("[aria-selected=true]");

  function open() {
    if (document.querySelector("dialog[open]")) return;
    dialog.showModal();
    input.focus();
    input.select();
  }

  function choose(option) {
    chosen()?.setAttribute("aria-selected", "false");
    if (!option) { input.removeAttribute("aria-activedescendant"); return; }
    option.setAttribute("aria-selected", "true");
    option.scrollIntoView({ block: "nearest" });
    input.setAttribute("aria-activedescendant", option.id);
  }

  function step(by) {
    const all = choices(), at = all.indexOf(chosen());
    if (all.length) choose(all[at < 0 && by < 0 ? all.length - 1 : (at + by + all.length) % all.length]);
  }

  function expand() {
    const any = choices().length > 0;
    input.setAttribute("aria-expanded", String(any));
    if (any) input.setAttribute("aria-controls", "find-list"); else input.removeAttribute("aria-controls");
    choose(null);
  }

  document.addEventListener("keydown", (event) => {
    const isShortcut = (event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey && event.key.toLowerCase() === "k";
    if (!isShortcut || event.defaultPrevented) return;
    event.preventDefault();
    open();
  });

  document.addEventListener("click", (event) => {
    const link = event.target.closest("[data-finds]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    open();
  });
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });

  input.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    const acts = { ArrowDown: () => step(1), ArrowUp: () => step(-1), Escape: () => dialog.close() };
    if (event.key === "Enter" && chosen()) acts.Enter = () => chosen().click();
    if (!acts[event.key]) return;
    event.preventDefault();
    acts[event.key]();
  });
  input.addEventListener("input", () => choose(null));

  // A whole key does not belong into an address: its public part is enough to find it.
  document.addEventListener("input", (event) => {
    if (!event.target.matches("[data-no-secrets]")) return;
    const kept = event.target.value.replace(/(sk-[a-z0-9]{16})\S+/g, "$1");
    if (kept !== event.target.value) event.target.value = kept;
  }, true);

  found.addEventListener("htmx:afterSwap", expand);
  for (const fault of ["htmx:responseError", "htmx:sendError"]) {
    dialog.addEventListener(fault, () => { found.replaceChildren(); said.textContent = input.dataset.failed; expand(); });
  }
})();
