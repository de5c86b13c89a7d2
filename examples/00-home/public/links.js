// Every app answers at NAME.localhost on the port of this page.
for (const card of document.querySelectorAll("a[data-app]")) {
  const port = location.port ? `:${location.port}` : "";
  card.href = `${location.protocol}//${card.dataset.app}.localhost${port}/`;
}
