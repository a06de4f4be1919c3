// <textarea data-count="id of a note">: says how many numbers the box holds.
for (const box of document.querySelectorAll("[data-count]")) {
  const note = document.getElementById(box.dataset.count);
  const count = () => {
    const found = box.value.split(/[\s,;[\]]+/).filter(Boolean).length;
    note.textContent = `${found.toLocaleString("en")} in the box`;
  };
  box.addEventListener("input", count);
  count();
}
