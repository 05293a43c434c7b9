// Copying and showing a secret. What is copied is the field, not what is seen.

async function copy(button) {
  const field = document.querySelector(button.dataset.copies);
  if (!field) return;
  try {
    await navigator.clipboard.writeText(field.value);
  } catch {
    // Not a secure origin, or refused: the old way, which needs the field visible.
    const kind = field.type;
    field.type = "text";
    field.select();
    document.execCommand("copy");
    field.type = kind;
  }
  const label = button.querySelector("span") ?? button;
  const before = label.textContent;
  if (before === button.dataset.done) return;
  label.textContent = button.dataset.done;
  label.setAttribute("role", "status");
  setTimeout(() => (label.textContent = before), 2000);
}

function reveal(button) {
  const field = document.querySelector(button.dataset.reveals);
  if (!field) return;
  const shown = field.type === "text";
  field.type = shown ? "password" : "text";
  button.setAttribute("aria-pressed", String(!shown));
}

document.addEventListener("click", (event) => {
  const copier = event.target.closest("[data-copies]");
  if (copier) copy(copier);
  const revealer = event.target.closest("[data-reveals]");
  if (revealer) reveal(revealer);
});
