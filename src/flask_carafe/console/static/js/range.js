// <input type="range" data-twin="id of a box">: paints its filled part and keeps the box in step, both ways.
for (const range of document.querySelectorAll("[data-twin]")) {
  const twin = document.getElementById(range.dataset.twin);
  const fill = () => range.style.setProperty("--fill", `${100 * (range.value - range.min) / (range.max - range.min)}%`);
  range.addEventListener("input", () => { fill(); twin.value = range.value; });
  twin.addEventListener("input", () => {
    if (twin.value.trim() !== "" && Number.isFinite(Number(twin.value))) { range.value = twin.value; fill(); }
  });
  // the box answers to the arrows as a number box would, in the range's steps
  twin.addEventListener("keydown", (event) => {
    const way = { ArrowUp: 1, ArrowDown: -1 }[event.key];
    if (!way || twin.value.trim() === "" || !Number.isFinite(Number(twin.value))) return;
    event.preventDefault();
    const step = Number(range.step) * (event.shiftKey ? 10 : 1);
    twin.value = Number((Number(twin.value) + way * step).toPrecision(12));
    twin.dispatchEvent(new Event("input"));
  });
  fill();
}
