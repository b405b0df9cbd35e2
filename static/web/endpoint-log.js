// A log that follows: the newest lines every few seconds, at the end unless somebody scrolled away, until it is paused.
(() => {
  "use strict";
  const lines = document.getElementById("lines"), pause = document.getElementById("pause"), follows = document.getElementById("follows");
  const EVERY = 3000;
  let paused = false, busy = false;
  const log = () => lines.querySelector(".log");
  const isAtEnd = (node) => !node || node.scrollHeight - node.scrollTop - node.clientHeight < 40;
  const toEnd = () => { const node = log(); if (node) node.scrollTop = node.scrollHeight; };

  toEnd();
  if (!lines.dataset.live) return;

  async function ask() {
    if (paused || busy || document.hidden) return;
    busy = true;
    try {
      const answer = await fetch(lines.dataset.live, { headers: { "HX-Request": "true" } });
      const text = await answer.text();
      if (!answer.ok) { follows.textContent = follows.dataset.lost; return; }
      if (paused) return;
      const stays = isAtEnd(log()), at = log()?.scrollTop;
      lines.innerHTML = text;  // the server's own piece of the page: every line in it is escaped
      if (stays) toEnd(); else if (log()) log().scrollTop = at;
      follows.textContent = follows.dataset.follows;
    } catch {
      follows.textContent = follows.dataset.lost;
    } finally {
      busy = false;
    }
  }

  pause.hidden = false;
  follows.textContent = follows.dataset.follows;
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.textContent = paused ? pause.dataset.resume : pause.dataset.pause;
    follows.textContent = paused ? follows.dataset.paused : follows.dataset.follows;
    ask();
  });
  setInterval(ask, EVERY);
})();
