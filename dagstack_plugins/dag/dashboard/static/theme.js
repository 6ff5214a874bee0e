"use strict";
// Before the page is drawn, so that it never flashes in the other colours.
{
  const chosen = (() => { try { return localStorage.getItem("dashboard-theme"); } catch { return null; } })();
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
}
