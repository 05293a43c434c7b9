// Waits for the answer of the customer's phone, then sends the form.
const form = document.getElementById("attente");
const timer = setInterval(async () => {
  const answer = await fetch("/app/status?id=" + encodeURIComponent(form.elements.id.value));
  const { status } = await answer.json();
  if (status === "pending") return;
  clearInterval(timer);
  if (status === "ok") form.requestSubmit();
  else location.reload();
}, 1000);
