/* Tables as rows of text: a heading over two lines is one, "96.20 ± 1.06" and small print have columns of their own. */
function cellText(cell, small) {
  const copy = cell.cloneNode(true);
  const parts = Array.from(copy.querySelectorAll("small"));
  const said = parts.map((each) => each.textContent.replace(/\s+/g, " ").trim()).filter(Boolean).join("; ");
  parts.forEach((each) => each.remove());
  copy.querySelectorAll("br").forEach((each) => each.replaceWith(" "));
  const named = cell.querySelector("[data-full]");
  const main = named ? named.dataset.full : copy.textContent.replace(/\s+/g, " ").trim();
  return small ? said : main;
}

/* One list of cells for each line of the grid; a cell that spans several stands in each of them. */
function grid(rows) {
  const lines = rows.map(() => []);
  rows.forEach((row, down) => {
    let across = 0;
    Array.from(row.cells).forEach((cell) => {
      while (lines[down][across]) across += 1;
      for (let y = 0; y < cell.rowSpan && down + y < rows.length; y += 1) {
        for (let x = 0; x < cell.colSpan; x += 1) lines[down + y][across + x] = cell;
      }
      across += cell.colSpan;
    });
  });
  return lines;
}

function tableRows(table) {
  const head = grid(Array.from(table.querySelectorAll("thead tr")));
  const body = grid(Array.from(table.querySelectorAll("tbody tr")));
  const width = Math.max(0, ...head.concat(body).map((line) => line.length));
  const columns = [];
  for (let at = 0; at < width; at += 1) {
    const above = Array.from(new Set(head.map((line) => line[at]).filter(Boolean)));
    const name = above.map((cell) => cellText(cell)).filter(Boolean).join(" ");
    // A cell that spans columns is told once, in the first of them.
    const cells = body.map((line) => (line[at] && line[at] !== line[at - 1] ? line[at] : null));
    const main = cells.map((cell) => (cell ? cellText(cell) : ""));
    const halves = main.map((text) => text.split(" ± "));
    if (halves.some((each) => each.length === 2)) {
      columns.push([name, ...halves.map((each) => each[0])], [`${name} ±`.trim(), ...halves.map((each) => each[1] || "")]);
    } else columns.push([name, ...main]);
    const notes = cells.map((cell) => (cell ? cellText(cell, true) : ""));
    const ends = notes.map((text) => text.match(/^(\S+) to (\S+)$/));
    if (!notes.some(Boolean)) continue;
    if (notes.every((text, row) => !text || ends[row])) {
      columns.push([`${name} low`, ...ends.map((each) => (each ? each[1] : ""))], [`${name} high`, ...ends.map((each) => (each ? each[2] : ""))]);
    } else columns.push([`${name} (note)`.trim(), ...notes]);
  }
  return [0, ...body.map((_, at) => at + 1)].map((row) => columns.map((column) => column[row]));
}

/* RFC 4180; what a spreadsheet would take for a formula gets an apostrophe, numbers stay numbers. */
function csvField(text) {
  const plain = text.replace(/^\u2212(?=[0-9.])/, "-");
  const number = /^[+-]?(\d{1,3}(,\d{3})+|\d+)?(\.\d+)?%?$/.test(plain);
  const safe = !number && /^[=+\-@\t\r\n|\u2212\uff1d\uff0b\uff0d\uff20]/.test(plain) ? `'${plain}` : plain;
  return /[",\r\n;]/.test(safe) ? `"${safe.replace(/"/g, '""')}"` : safe;
}

function csv(rows) { return rows.map((row) => row.map(csvField).join(",")).join("\r\n") + "\r\n"; }
