// Lists are walked with the arrows, or j and k; a letter does what the row
// offers under it; / searches and ? explains. Single letters can be switched off,
// for people who speak to their computer.

const letters = "guichet.letters";
const on = () => localStorage.getItem(letters) !== "off";
const rows = () => [...document.querySelectorAll("[data-rows] > :is(tr:not(.month), li, article)")];
const target = (row) => row.querySelector(".row-link, a, button");

function typing(el) {
  return el.closest("input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable]") !== null;
}

function move(by) {
  const all = rows();
  const now = all.findIndex((row) => row.contains(document.activeElement));
  const next = now < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, now + by));
  const el = all[next] && target(all[next]);
  if (!el) return false;
  el.focus();
  el.scrollIntoView({ block: "nearest" });
  return true;
}

function arrows() {
  return document.querySelector("tbody[data-rows]") !== null || document.activeElement.closest("[data-rows]") !== null;
}

function act(key) {
  switch (key) {
    case "ArrowDown":
      return arrows() && move(1);
    case "ArrowUp":
      return arrows() && move(-1);
  }
  if (!on()) return false;
  switch (key) {
    case "j":
      return move(1);
    case "k":
      return move(-1);
    case "/": {
      const field = document.querySelector("[data-search]");
      field?.focus();
      field?.select();
      return field !== null;
    }
    case "?":
      document.querySelector("#keys")?.showModal();
      return true;
  }
  const row = rows().find((r) => r.contains(document.activeElement));
  const offered = row && /^[a-z]$/.test(key) && row.querySelector(`[data-key="${key}"]`);
  offered?.click();
  return Boolean(offered);
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
  if (document.querySelector("dialog[open]")) return;
  if (act(event.key)) event.preventDefault();
});

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-letters]")) localStorage.setItem(letters, event.target.checked ? "on" : "off");
  const form = event.target.closest(".choosing");
  const count = form?.querySelector("[data-chosen]");
  if (count) count.textContent = form.querySelectorAll("[name=chosen]:checked").length;
});

for (const box of document.querySelectorAll("[data-letters]")) box.checked = on();
