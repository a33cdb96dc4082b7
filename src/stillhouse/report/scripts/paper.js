/* Paper is light, narrower than most windows, and what is folded cannot be opened there. */
let folded = [];
window.addEventListener("beforeprint", () => {
  folded = Array.from(document.querySelectorAll("details:not([open])"));
  folded.forEach((part) => { part.open = true; });
  paper = true;
  plots().forEach((plot) => {
    draw(plot);
    Plotly.relayout(plot, { autosize: false, width: plot.closest(".panels, .verdict") ? 320 : 660 });
  });
});
window.addEventListener("afterprint", () => {
  folded.forEach((part) => { part.open = false; });
  paper = false;
  plots().forEach((plot) => {
    draw(plot);
    Plotly.relayout(plot, { width: null, autosize: true });
  });
});
