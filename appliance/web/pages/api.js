// Search on the page of the API: shows the routes whose words contain all that is typed. The page works without it.
"use strict";
const box = document.getElementById("search");
const routes = [...document.querySelectorAll("details[data-words]")];
const sections = [...document.querySelectorAll("section")];
const count = document.getElementById("count");

function show() {
  const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const route of routes) {
    route.hidden = !words.every((word) => route.dataset.words.includes(word));
    if (!route.hidden) shown += 1;
  }
  for (const section of sections) {
    section.hidden = !section.querySelector("details[data-words]:not([hidden])");
  }
  count.textContent = `${shown} of ${routes.length} routes`;
}

function openNamed() {
  const named = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (named instanceof HTMLDetailsElement) named.open = true;
}

document.getElementById("tools").hidden = false;
box.addEventListener("input", show);
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && document.activeElement !== box) {
    event.preventDefault();
    box.focus();
  } else if (event.key === "Escape" && document.activeElement === box) {
    box.value = "";
    show();
  }
});
addEventListener("hashchange", openNamed);
openNamed();
show();
