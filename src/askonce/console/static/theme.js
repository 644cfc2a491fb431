// Runs before anything is shown, so that a page never flashes in the other colours.
"use strict";
(() => {
  const read = () => { try { return localStorage.getItem("askonce-theme"); } catch { return null; } };
  const chosen = read();
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
})();
