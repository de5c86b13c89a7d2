const shown = new Set();

function show(name) {
  if (shown.has(name)) return;
  shown.add(name);

  const card = document.getElementById("counter").content.firstElementChild.cloneNode(true);
  const [title, number, , history] = card.children;
  const call = async (init, by = 0) => {
    const answer = await fetch(`/counters/${encodeURIComponent(name)}?by=${by}`, init);
    if (!answer.ok) return void (history.textContent = await answer.text());
    const { value, count, recent } = await answer.json();
    number.textContent = value;
    const signed = recent.map((row) => (row.amount > 0 ? `+${row.amount}` : `−${-row.amount}`));
    history.textContent = count ? `${count} ${count === 1 ? "change" : "changes, newest first"}: ${signed.join(" ")}` : "No changes yet";
  };

  title.textContent = name;
  card.dataset.name = name;
  card.addEventListener("click", (event) => {
    const by = event.target.dataset.by;
    if (by) call({ method: "POST" }, by);
  });
  document.getElementById("counters").append(card);
  call();
}

document.getElementById("origin").textContent = location.origin;
document.getElementById("more").addEventListener("submit", (event) => {
  event.preventDefault();
  show(event.target.elements.name.value.trim());
  event.target.reset();
});
["tea", "coffee"].forEach(show);
