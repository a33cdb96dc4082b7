/* Paper is light, narrower than most windows, and what is folded cannot be opened there. */
let folded = [];
window.addEventListener("beforeprint", () => {
  folded = Array.from(document.querySelectorAll("details:not([open])"));
  folded.forEach((part) => { part.open = true; });
  paper = true;
  plots().forEach((plot) => { plot.dataset.width = plot.closest(".panels, .verdict") ? 320 : 660; });
  drawAll();
});
window.addEventListener("afterprint", () => {
  folded.forEach((part) => { part.open = false; });
  paper = false;
  plots().forEach((plot) => { delete plot.dataset.width; });
  drawAll();
});
