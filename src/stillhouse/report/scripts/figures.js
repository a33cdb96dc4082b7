/* Figures: drawn in the colours of the reader's theme, and again when that changes. */
const page = JSON.parse(document.getElementById("page-data").textContent);
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const plots = () => Array.from(document.querySelectorAll(".plot[data-figure]"));
let paper = false; // while it is printed

function palette() { return page.colours[dark.matches && !paper ? "dark" : "light"]; }

/* var(--accent) or, with an opacity, var(--accent, 0.16): what theme.py calls a colour. */
function inColours(part, colours, key) {
  if (Array.isArray(part)) return part.map((each) => inColours(each, colours, key));
  if (part && typeof part === "object") {
    return Object.fromEntries(Object.entries(part).map(([name, each]) => [name, inColours(each, colours, name)]));
  }
  const asked = typeof part === "string" && /color/.test(key) && part.match(/^var\(--([a-z0-9-]+)(?:, ([0-9.]+))?\)$/);
  const colour = asked && colours[asked[1]];
  if (!colour) return part;
  if (!asked[2]) return colour;
  const parts = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  return `rgba(${parts.join(", ")}, ${asked[2]})`;
}

function figureIn(plot, colours) {
  const { data, layout } = inColours(page.figures[plot.dataset.figure], colours, "");
  return { data, layout };
}

/* In the whole width of its place; what follows the window inside plotly.js leaves legends where they were. */
function draw(plot) {
  const { data, layout } = figureIn(plot, palette());
  layout.width = plot.dataset.width ? Number(plot.dataset.width) : plot.clientWidth;
  if (!layout.width) return null; // folded away
  if (plot.dataset.whole) { layout.yaxis.autorange = true; delete layout.yaxis.range; }
  return Plotly.newPlot(plot, data, layout, page.config); // react() would leave the legend of another width
}

const drawAll = () => plots().forEach(draw);
drawAll();
dark.addEventListener("change", drawAll);
document.addEventListener("toggle", drawAll, true);
let waiting = 0;
window.addEventListener("resize", () => {
  cancelAnimationFrame(waiting);
  waiting = requestAnimationFrame(drawAll);
});

const whole = document.getElementById("whole-axis");
if (whole) {
  const plot = document.querySelector("[data-figure=validation]");
  whole.hidden = false;
  whole.addEventListener("click", () => {
    if (plot.dataset.whole) delete plot.dataset.whole; else plot.dataset.whole = "yes";
    draw(plot);
    whole.textContent = plot.dataset.whole ? "Show the differences" : "Show it whole";
  });
}
