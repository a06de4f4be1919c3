// <div role="tablist" data-tabs>: one panel at a time; without script all are shown, each under its name.
{
  const chosen = {};  // what was picked stays picked when the panels are replaced
  const pick = (list, tab) => {
    for (const each of list.querySelectorAll("[role=tab]")) {
      each.setAttribute("aria-selected", each === tab);
      each.tabIndex = each === tab ? 0 : -1;
      document.getElementById(each.getAttribute("aria-controls")).hidden = each !== tab;
    }
  };
  const begin = (root) => {
    for (const list of root.querySelectorAll("[data-tabs]")) {
      pick(list, list.querySelector(`#${chosen.id || "none"}`) || list.querySelector("[role=tab]"));
    }
  };
  document.addEventListener("click", (event) => {
    const tab = event.target.closest("[data-tabs] [role=tab]");
    if (!tab) return;
    chosen.id = tab.id;
    pick(tab.closest("[data-tabs]"), tab);
  });
  document.addEventListener("keydown", (event) => {
    const tab = event.target.closest?.("[data-tabs] [role=tab]");
    if (!tab) return;
    const tabs = [...tab.closest("[data-tabs]").querySelectorAll("[role=tab]")];
    const at = tabs.indexOf(tab);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1 + tabs.length, Home: 0, End: tabs.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    tabs[to % tabs.length].click();
    tabs[to % tabs.length].focus();
  });
  document.addEventListener("carafe:swapped", (event) => begin(event.target));
  begin(document);
}
