// A toast goes after ten seconds, unless somebody is at it. One that tells of
// trouble stays until it is closed.

const stay = 10_000;

function expire(toast) {
  if (!toast.isConnected) return;
  if (toast.matches(":hover") || toast.contains(document.activeElement)) {
    setTimeout(expire, stay, toast);
    return;
  }
  toast.remove();
}

const region = document.querySelector("#toasts");
if (region) {
  const watch = (el) => el.matches?.("[data-toast]") && setTimeout(expire, stay, el);
  for (const el of region.children) watch(el);
  new MutationObserver((changes) => {
    for (const change of changes) change.addedNodes.forEach(watch);
  }).observe(region, { childList: true });
}

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-dismisses]")) event.target.closest(".toast")?.remove();
});
