// <button data-copy="id of the text">: copies it and says so; works for parts that arrive later.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const source = document.getElementById(button.dataset.copy);
  const said = button.querySelector("span") || button;
  const before = said.dataset.before || (said.dataset.before = said.textContent);
  try {
    await navigator.clipboard.writeText(source.textContent);
    said.textContent = "Copied";
  } catch {
    // no clipboard over plain http on another machine: select the text, so that one key copies it
    getSelection().selectAllChildren(source);
    said.textContent = "Press Ctrl+C";
  }
  setTimeout(() => { said.textContent = before; }, 1600);
});
