// <label data-drop> round a file input: takes dropped files, names what was chosen and shows pictures.
for (const zone of document.querySelectorAll("[data-drop]")) {
  const input = zone.querySelector("input[type=file]");
  const name = zone.querySelector("[data-drop-name]");
  const preview = zone.querySelector("[data-drop-preview]");
  const before = name.textContent;
  const kept = zone.parentElement.querySelector("[data-kept]");
  const size = (bytes) => bytes < 1024 ? `${bytes} bytes` : bytes < 1048576 ? `${(bytes / 1024).toFixed(1)} KiB` : `${(bytes / 1048576).toFixed(1)} MiB`;
  let address = "";
  const show = () => {
    const file = input.files[0];
    name.textContent = file ? `${file.name}, ${size(file.size)}` : before;
    zone.classList.toggle("filled", Boolean(file));
    if (!preview) return;
    if (kept) kept.remove();
    if (address) URL.revokeObjectURL(address);
    address = file && file.type.startsWith("image/") ? URL.createObjectURL(file) : "";
    preview.hidden = !address;
    if (address) preview.src = address;
  };
  for (const kind of ["dragenter", "dragover"]) {
    zone.addEventListener(kind, (event) => { event.preventDefault(); zone.classList.add("over"); });
  }
  for (const kind of ["dragleave", "drop"]) zone.addEventListener(kind, () => zone.classList.remove("over"));
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    if (!event.dataTransfer.files.length) return;
    input.files = event.dataTransfer.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  });
  input.addEventListener("change", show);
}
