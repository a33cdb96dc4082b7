(function () {
  // Paper is narrower than most windows, and what is folded cannot be opened there.
  var folded = [];
  function plots() { return Array.prototype.slice.call(document.querySelectorAll(".js-plotly-plot")); }
  // A figure is drawn as soon as it is read, when its neighbours do not share the row yet.
  window.addEventListener("load", function () { plots().forEach(function (plot) { window.Plotly.Plots.resize(plot); }); });
  var whole = document.getElementById("whole-axis");
  if (whole) {
    var plot = document.getElementById("figure-validation"), near = plot.layout.yaxis.range.slice();
    whole.hidden = false;
    whole.addEventListener("click", function () {
      var all = whole.textContent === "Show it whole";
      window.Plotly.relayout(plot, all ? { "yaxis.autorange": true } : { "yaxis.range": near.slice() });
      whole.textContent = all ? "Show the differences" : "Show it whole";
    });
  }
  window.addEventListener("beforeprint", function () {
    folded = Array.prototype.slice.call(document.querySelectorAll("details:not([open])"));
    folded.forEach(function (part) { part.open = true; });
    plots().forEach(function (plot) {
      var half = plot.closest(".panels, .verdict");
      window.Plotly.relayout(plot, { autosize: false, width: half ? 320 : 660 });
    });
  });
  window.addEventListener("afterprint", function () {
    folded.forEach(function (part) { part.open = false; });
    plots().forEach(function (plot) { window.Plotly.relayout(plot, { width: null, autosize: true }); });
  });
})();
