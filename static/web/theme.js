// Before the page is drawn: the chosen theme, so that nothing flashes.
try {
  const wanted = localStorage.getItem("theme");
  if (wanted) document.documentElement.dataset.theme = wanted;
} catch { /* no storage: the system's own choice */ }
