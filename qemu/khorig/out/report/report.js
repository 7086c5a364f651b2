// SPDX-License-Identifier: BSD-3-Clause
// Optional: the report is complete without it.
"use strict";

for (const figure of document.querySelectorAll(".map")) {
  const readout = figure.querySelector(".readout");
  const rest = readout.textContent = "Hover over the map for addresses.";
  const rows = figure.dataset.rows.split(" ").map(Number);
  const svg = figure.querySelector("svg");
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const row = Math.floor((event.clientY - box.top) / box.height * rows.length);
    if (row < 0 || row >= rows.length) return;
    const share = Math.min(0.9999, Math.max(0, (event.clientX - box.left) / box.width));
    const address = rows[row] + Math.floor(share * figure.dataset.row / 4096) * 4096;
    const layer = event.target.closest("path");
    const name = !layer ? "" : layer.dataset.name === "RAM" ? "free" : layer.dataset.name;
    readout.textContent = "0x" + address.toString(16).padStart(8, "0") + "  " + name;
  });
  svg.addEventListener("pointerleave", () => { readout.textContent = rest; });
  for (const item of figure.querySelectorAll(".legend [data-name]")) {
    const light = (on) => {
      svg.classList.toggle("dim", on);
      for (const path of svg.querySelectorAll("path")) {
        path.classList.toggle("hot", on && path.dataset.name === item.dataset.name);
      }
    };
    item.addEventListener("pointerenter", () => light(true));
    item.addEventListener("pointerleave", () => light(false));
  }
}

for (const button of document.querySelectorAll("button.copy")) {
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.previousElementSibling.textContent);
    button.textContent = "copied";
    setTimeout(() => { button.textContent = "copy"; }, 1500);
  });
}

// A link to a run opens it.
const openTarget = () => {
  const target = location.hash && document.querySelector(location.hash);
  if (target && target.tagName === "DETAILS") target.open = true;
};
addEventListener("hashchange", openTarget);
openTarget();
