// The deploy form: marks fields that the plan refused, finds engine arguments, and chooses “another number” by typing one.
(() => {
  "use strict";
  function mark() {
    for (const error of document.querySelectorAll("#deploy [id^='error-']")) {
      for (const field of document.querySelectorAll(`#deploy [aria-describedby~='${error.id}']`)) {
        if (field.matches("fieldset")) continue;
        if (error.textContent.trim()) field.setAttribute("aria-invalid", "true");
        else field.removeAttribute("aria-invalid");
      }
    }
  }

  function search(box) {
    const wanted = box.value.trim().toLowerCase();
    for (const group of box.closest("[data-searched]").querySelectorAll("details.group")) {
      const fields = [...group.querySelectorAll("[data-words]")];
      for (const field of fields) field.hidden = !field.dataset.words.toLowerCase().includes(wanted);
      if (!fields.length) continue;
      group.hidden = fields.every((field) => field.hidden);
      if (wanted) group.open = !group.hidden;
    }
  }

  // Before the request that this very event begins: searching asks nobody, a number chooses its own row.
  document.addEventListener("input", (event) => {
    if (event.target.matches("[data-searches]")) { search(event.target); event.stopPropagation(); return; }
    if (event.target.dataset.chooses) document.getElementById(event.target.dataset.chooses).checked = true;
  }, true);
  document.addEventListener("htmx:afterSettle", mark);
  mark();
})();
