/* What is wrong with how the page stands in the window now, as sentences. */
(function () {
  const faults = [];
  const width = document.documentElement.clientWidth;
  const say = (what, element) => faults.push(`${what}: ${element.tagName} ${element.className.baseVal ?? element.className} "${element.textContent.trim().slice(0, 50)}"`);
  const shown = (element) => element.getClientRects().length > 0;
  if (document.documentElement.scrollWidth > width) faults.push(`the page is ${document.documentElement.scrollWidth} wide`);

  const plots = Array.from(document.querySelectorAll(".plot[data-figure]"));
  plots.forEach((plot) => {
    const name = plot.dataset.figure, svg = plot.querySelector(".main-svg");
    if (!svg) { faults.push(`${name} was not drawn`); return; }
    const box = svg.getBoundingClientRect(), room = plot.getBoundingClientRect();
    if (Math.abs(box.height - room.height) > 1) faults.push(`${name} is ${box.height} high in a box of ${room.height}`);
    if (box.right > room.right + 1 || box.right > width) faults.push(`${name} is cut at the right`);
    const legend = plot.querySelector(".legend");
    if (legend && legend.getBoundingClientRect().bottom - box.top > plot._fullLayout._size.t + 1) faults.push(`${name}: the legend lies on the curves`);
    const words = Array.from(plot.querySelectorAll(".main-svg text")).filter(shown);
    if (!words.length) faults.push(`${name} has no words`);
    words.forEach((word) => {
      const at = word.getBoundingClientRect();
      if (at.left < box.left - 1 || at.right > box.right + 1 || at.top < box.top - 1 || at.bottom > box.bottom + 1) say(`${name}: words are cut`, word);
    });
    const ticks = Array.from(plot.querySelectorAll(".xtick text"));
    if (plot._fullLayout.xaxis.title.text === "epoch" && (!ticks.length || ticks.some((tick) => !/^\d+$/.test(tick.textContent)))) faults.push(`${name}: epochs are not whole`);
    ticks.forEach((tick, at) => {
      if (at && tick.getBoundingClientRect().left < ticks[at - 1].getBoundingClientRect().right && tick.getBoundingClientRect().top < ticks[at - 1].getBoundingClientRect().bottom) say(`${name}: ticks touch`, tick);
    });
    // "unused": such as the marker of a line; what the bundle does not know at all is a fault.
    const wrong = (Plotly.validate(plot.data, plot.layout) || []).filter((each) => !["unused", "invisible"].includes(each.code));
    if (wrong.length) faults.push(`${name}: ${wrong.map((each) => each.msg).join("; ")}`);
  });

  /* The colour of words against the nearest ground behind them, by the formula of WCAG 2.2. */
  const parts = (colour) => { const found = colour.match(/[\d.]+/g).map(Number); return colour.startsWith("color(") ? found.slice(-4).map((part, at) => at < 3 ? part * 255 : part).slice(0, 3).concat(found.length > 3 ? found[3] : 1) : found; };
  const luminance = (rgb) => rgb.slice(0, 3).map((part) => part / 255).map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)).reduce((sum, part, at) => sum + part * [0.2126, 0.7152, 0.0722][at], 0);
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (colour !== "rgba(0, 0, 0, 0)") return parts(colour);
    }
    return [255, 255, 255];
  };
  document.querySelectorAll("main *").forEach((element) => {
    const own = Array.from(element.childNodes).some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || !shown(element)) return;
    const style = getComputedStyle(element);
    const [high, low] = [luminance(parts(element instanceof SVGElement ? style.fill : style.color)), luminance(ground(element))].sort((a, b) => b - a);
    if ((high + 0.05) / (low + 0.05) < 4.5) say(`contrast ${((high + 0.05) / (low + 0.05)).toFixed(2)}`, element);
  });

  document.querySelectorAll("td, th").forEach((cell) => {
    if (!shown(cell) || !cell.textContent.trim()) return;
    if (cell.scrollWidth > cell.clientWidth + 1) say("wider than its cell", cell);
    const style = getComputedStyle(cell);
    if (style.backgroundColor !== "rgba(0, 0, 0, 0)" && (parseFloat(style.paddingLeft) < 4 || parseFloat(style.paddingRight) < 4)) say("touches its cell", cell);
  });
  document.querySelectorAll("button, a").forEach((each) => { if (shown(each) && each.tabIndex < 0) say("not reached by keyboard", each); });
  return faults;
})();
