// <div data-pad="form key"> with a canvas: what is drawn goes with the form as a PNG file, as an upload would.
for (const pad of document.querySelectorAll("[data-pad]")) {
  const canvas = pad.querySelector("canvas");
  const pen = canvas.getContext("2d");
  const form = pad.closest("form");
  const light = pad.querySelector("[data-pad-light]");
  const input = pad.parentElement.querySelector("input[type=file]");
  let strokes = [];
  let waiting = 0;

  const draw = () => {
    const [ink, paper] = light.checked ? ["#fff", "#000"] : ["#000", "#fff"];
    pen.fillStyle = paper;
    pen.fillRect(0, 0, canvas.width, canvas.height);
    pen.strokeStyle = pen.fillStyle = ink;
    pen.lineWidth = canvas.width / 13;
    pen.lineCap = pen.lineJoin = "round";
    for (const stroke of strokes) {
      pen.beginPath();
      pen.moveTo(...stroke[0]);
      for (const point of stroke) pen.lineTo(...point);
      pen.lineTo(...stroke.at(-1).map((place) => place + 0.01));  // a dot is a stroke too
      pen.stroke();
    }
  };
  const ask = (delay) => {
    clearTimeout(waiting);
    if (form.dataset.askItself !== undefined && strokes.length) waiting = setTimeout(() => form.requestSubmit(), delay);
  };
  const set = (next) => { strokes = next; draw(); ask(150); };
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return [(event.clientX - box.left) * canvas.width / box.width, (event.clientY - box.top) * canvas.height / box.height];
  };

  canvas.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    clearTimeout(waiting);
    canvas.setPointerCapture(event.pointerId);
    if (input.files.length) { input.value = ""; input.dispatchEvent(new Event("change", { bubbles: true })); }
    strokes.push([place(event)]);
    draw();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!canvas.hasPointerCapture(event.pointerId)) return;
    for (const each of event.getCoalescedEvents?.() ?? [event]) strokes.at(-1).push(place(each));
    draw();
  });
  canvas.addEventListener("pointerup", () => ask(350));
  pad.querySelector("[data-pad-undo]").addEventListener("click", () => set(strokes.slice(0, -1)));
  pad.querySelector("[data-pad-clear]").addEventListener("click", () => set([]));
  light.addEventListener("change", () => set(strokes));
  input.addEventListener("change", () => { if (input.files.length) { strokes = []; draw(); if (form.dataset.askItself !== undefined) form.requestSubmit(); } });
  form.addEventListener("formdata", (event) => {
    if (!strokes.length) return;
    const bytes = Uint8Array.from(atob(canvas.toDataURL("image/png").split(",")[1]), (letter) => letter.charCodeAt(0));
    event.formData.set(pad.dataset.pad, new File([bytes], "drawing.png", { type: "image/png" }));
  });
  pad.hidden = false;
  draw();
}
