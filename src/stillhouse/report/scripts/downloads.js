/* Every table as CSV, every figure as PNG and SVG: made in the page, by buttons under them. */
function fileName(what, ending) {
  const plain = (text) => text.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 60);
  return [plain(document.title), plain(what)].filter(Boolean).join("-") + ending;
}

function save(address, name) {
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
}

function saveText(text, name, type) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  save(address, name);
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}

/* In light colours on white, whatever the reader's theme: a picture goes into a document. */
function pictureOf(plot, format) {
  const { data, layout } = figureIn(plot, page.colours.light);
  const full = plot.querySelector(".main-svg");
  const width = Math.max(640, full.clientWidth), height = full.clientHeight;
  const named = data.filter((trace) => trace.name && trace.showlegend !== false).length;
  const shown = { ...layout, width, height, showlegend: named > 1 };
  if (plot.dataset.whole) shown.yaxis = { ...shown.yaxis, autorange: true, range: undefined };
  return Plotly.toImage({ data, layout: shown, config: page.config }, { format, width, height, scale: format === "png" ? 2 : 1 });
}

async function savePicture(plot, format) {
  const address = await pictureOf(plot, format), name = fileName(plot.dataset.figure, `.${format}`);
  if (format === "png") save(address, name);
  else saveText(decodeURIComponent(address.slice(address.indexOf(",") + 1)), name, "image/svg+xml");
}

function button(text, about, act) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = text;
  made.setAttribute("aria-label", about);
  made.addEventListener("click", act);
  return made;
}

function offer(after, ...buttons) {
  const row = document.createElement("p");
  row.className = "downloads";
  row.append(...buttons);
  after.after(row);
}

function headingOf(part) {
  const caption = part.querySelector("caption");
  const near = part.closest("figure, section, details");
  const said = caption || (near && near.querySelector("h3, summary, h2"));
  const above = part.closest("section");
  const found = said || (above && above.querySelector("h2"));
  return found ? found.firstChild.textContent.trim() : "table";
}

if (typeof Plotly !== "undefined") {
  plots().forEach((plot) => {
    const of = plot.getAttribute("aria-label");
    offer(plot, ...["png", "svg"].map((format) =>
      button(format.toUpperCase(), `Download as ${format.toUpperCase()}: ${of}`, () => savePicture(plot, format))));
  });
}
document.querySelectorAll("table:not(.gallery)").forEach((table) => {
  const name = headingOf(table), box = table.closest(".scroll") || table;
  offer(box, button("CSV", `Download as CSV: ${name}`, () =>
    // The mark at the front lets spreadsheets read the file as UTF-8.
    saveText("\ufeff" + csv(tableRows(table)), fileName(name, ".csv"), "text/csv")));
});
document.querySelectorAll(".scroll").forEach((box) => {
  box.tabIndex = 0; // what is wider than its box is scrolled by the keyboard too
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", headingOf(box));
});
