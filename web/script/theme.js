// The theme turns at once; the server remembers it for the next page.

const after = { auto: "light", light: "dark", dark: "auto" };

document.addEventListener("submit", (event) => {
  const form = event.target.closest("[data-theme-switch]");
  if (!form) return;
  event.preventDefault();
  const root = document.documentElement;
  const theme = after[root.dataset.theme] ?? "auto";
  root.dataset.theme = theme;
  fetch(form.action, { method: "POST", body: new URLSearchParams({ theme }), redirect: "manual", keepalive: true });
});
