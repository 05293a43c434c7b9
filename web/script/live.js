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
