// The stream tells which attempt moved, and nothing of it: whatever is about it
// asks the server again by itself. Here is only what is not on the page yet: a
// question that a bank just asked comes over whatever page one is on.
document.addEventListener("changed", (event) => {
  const id = event.detail?.data;
  const asked = document.querySelector("#asked");
  // One question at a time; one that was set aside stays where the access is listed.
  if (!id || !asked || asked.querySelector("dialog:modal") || document.querySelector(`[data-attempt="${CSS.escape(id)}"]`)) return;
  window.htmx.ajax("GET", `/attempts/${encodeURIComponent(id)}/asked`, { target: asked, swap: "innerHTML" });
});

// A page that is being left asks for nothing more and hears nothing more: an
// answer could begin another page in place of the one that is on its way, and take what that one
// was to say. A form that led nowhere (a download, a server that does not
// answer) lets the page go on after a while; so does coming back to it.
const patience = 10_000;
let leaving = 0;
document.addEventListener("submit", (event) => {
  if (!event.defaultPrevented) leaving = Date.now() + patience;
});
addEventListener("pageshow", () => (leaving = 0));
for (const step of ["htmx:before:request", "htmx:before:response"]) {
  document.addEventListener(step, (event) => {
    if (Date.now() < leaving) event.preventDefault();
  });
}
