// <form data-ask>: asks without a reload. The reply holds parts marked data-swap, which take the place of those with the same id.
for (const form of document.querySelectorAll("[data-ask]")) {
  const answer = document.querySelector("[data-answer]");
  let under = null;

  const mark = (id, text) => {
    const field = form.querySelector(`[data-field="${id}"]`);
    if (!field) return;
    const said = field.querySelector("[data-wrong]");
    said.textContent = text;
    said.hidden = !text;
    field.classList.toggle("wrong", Boolean(text));
    for (const control of field.querySelectorAll(".input, input:not([type=hidden]):not([type=range])")) {
      const others = (control.getAttribute("aria-describedby") || "").split(" ").filter((each) => each && each !== said.id);
      if (text) others.push(said.id);
      if (others.length) control.setAttribute("aria-describedby", others.join(" ")); else control.removeAttribute("aria-describedby");
      if (text) control.setAttribute("aria-invalid", "true"); else control.removeAttribute("aria-invalid");
    }
  };
  const place = (page) => {
    for (const field of form.querySelectorAll("[data-field].wrong")) mark(field.dataset.field, "");
    for (const said of page.querySelectorAll("[data-wrong-for]")) mark(said.dataset.wrongFor, said.textContent);
    for (const part of page.querySelectorAll("[data-swap]")) {
      const target = document.getElementById(part.id);
      if (!target) continue;
      target.replaceChildren(...part.childNodes);
      target.dispatchEvent(new CustomEvent("carafe:swapped", { bubbles: true }));
    }
    const wrong = form.querySelector("[aria-invalid=true]");
    if (wrong && document.activeElement?.type !== "file") wrong.focus({ preventScroll: false });
  };
  const fail = (text) => {
    const panel = document.createElement("div");
    panel.className = "notice bad";
    panel.textContent = text;
    answer.replaceChildren(panel);
  };

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    under?.abort();
    const mine = under = new AbortController();
    const data = new FormData(form);
    const body = form.enctype === "multipart/form-data" ? data : new URLSearchParams(data);
    answer.setAttribute("aria-busy", "true");
    try {
      const reply = await fetch(form.action, { method: "POST", body, headers: { "X-Requested-With": "carafe", Accept: "text/html" }, signal: mine.signal });
      const text = await reply.text();
      if (reply.headers.get("Content-Type")?.startsWith("application/json")) { fail(JSON.parse(text).error || `The server answered ${reply.status}.`); return; }
      const page = new DOMParser().parseFromString(text, "text/html");
      const hasAnswer = page.querySelector("[data-swap]");
      if (reply.redirected || (reply.ok && !hasAnswer)) { fail("You are signed out; load the page again."); return; }
      if (hasAnswer) place(page);
      else fail(page.querySelector("h1") ? `${page.querySelector("h1").textContent}. ${page.querySelector(".lede")?.textContent ?? ""}` : `The server answered ${reply.status}.`);
      const box = answer.getBoundingClientRect();
      if (!form.querySelector("[aria-invalid=true]") && (box.top > innerHeight - 80 || box.bottom < 0)) {
        answer.scrollIntoView({ block: "start", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
      }
    } catch (error) {
      if (error.name !== "AbortError") fail("The server could not be reached. Is it still running?");
    } finally {
      if (under === mine) answer.removeAttribute("aria-busy");
    }
  });
}
