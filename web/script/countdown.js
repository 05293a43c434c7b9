// Countdowns go on from the clock of the server: each element says what that
// clock showed when the page was written, so the clock of the device may be wrong.

const skews = new WeakMap();
const nbsp = "\u00a0";

function left(el) {
  if (!skews.has(el)) skews.set(el, Date.parse(el.dataset.now) - Date.now());
  return Math.max(0, Math.round((Date.parse(el.dataset.countdown) - Date.now() - skews.get(el)) / 1000));
}

function write(s) {
  if (s < 60) return s + nbsp + "s";
  return Math.floor(s / 60) + nbsp + "min" + nbsp + String(s % 60).padStart(2, "0") + nbsp + "s";
}

// At zero a button that waited can be pressed, and a question is over: its page
// shows what to do next instead of a form that the bank would refuse.
function over(el) {
  const button = el.closest("[data-enabled-at]");
  if (button) {
    button.disabled = false;
    button.querySelector("[data-until]")?.remove();
    return;
  }
  const question = el.closest(".question");
  if (question && !question.hasAttribute("data-expired")) question.setAttribute("data-expired", "");
}

// A screen reader is told twice, not every second.
function announce(el, s) {
  const region = el.closest(".question")?.querySelector("[data-announces]");
  if (region && (s === 60 || s === 20)) region.textContent = el.parentElement.textContent;
}

function tick() {
  for (const el of document.querySelectorAll("[data-countdown]")) {
    const s = left(el);
    const text = write(s);
    if (el.textContent !== text) {
      el.textContent = text;
      if (!el.closest("[data-enabled-at]")) announce(el, s);
    }
    if (s === 0) over(el);
  }
}

setInterval(tick, 250);
