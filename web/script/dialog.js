// Dialogs are native: the browser keeps the focus inside, closes on Escape and
// gives the focus back. Here is only how they open, and what closing one means.

// A dialog that the page came with is shown over it. It may hold a question of
// the bank, so it comes before anything else.
function showModals() {
  for (const dialog of document.querySelectorAll("dialog[data-modal]:not(:modal, [data-closed])")) {
    dialog.removeAttribute("open"); // as it is written, for browsers without script
    dialog.showModal();
    remember(dialog, dialog.dataset.value);
  }
}

// What is asked over the page is in its address, so that a reload, or another
// browser, asks it again.
function remember(dialog, value) {
  const parameter = dialog.dataset.parameter;
  if (!parameter) return;
  const url = new URL(location.href);
  if (value) url.searchParams.set(parameter, value);
  else url.searchParams.delete(parameter);
  history.replaceState(history.state, "", url);
}

document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-opens]");
  const closer = event.target.closest("[data-closes]");
  if (opener || closer) event.preventDefault(); // the command of the button, for browsers without script
  if (opener) document.querySelector(opener.dataset.opens)?.showModal();
  if (closer) closer.closest("dialog")?.close();
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (opener || !menu.contains(event.target)) menu.open = false;
  }
});

// Escape closes the dialog on top, and that one alone: browsers close several at
// once when nobody has touched the page yet. A dialog that would lose something
// opens the question about it instead.
document.addEventListener(
  "keydown",
  (event) => {
    if (event.key !== "Escape") return;
    const top = [...document.querySelectorAll("dialog[open]")].at(-1);
    if (!top) return;
    event.preventDefault();
    const asks = top.dataset.escape && document.querySelector(top.dataset.escape);
    if (asks) asks.showModal();
    else top.close();
  },
  true,
);

// A question set aside is no longer in the address, so a reload does not bring
// it back over the page; it stays where the access is listed.
document.addEventListener(
  "close",
  (event) => {
    if (!event.target.dataset?.parameter) return;
    event.target.setAttribute("data-closed", "");
    remember(event.target, "");
  },
  true,
);

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

document.addEventListener("htmx:after:swap", showModals);
showModals();
