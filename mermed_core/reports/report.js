// No logo with a link, no button that sends a figure away. What is folded is drawn when it is opened, so that a
// page with hundreds of charts opens at once.
const config = {displaylogo: false, displayModeBar: false, responsive: true, showSendToCloud: false};
const draw = () => document.querySelectorAll(".chart").forEach(chart => {
  const figure = chart.querySelector("script");
  if (!figure || chart.closest("details:not([open])")) return;
  figure.remove();
  const {data, layout} = JSON.parse(figure.textContent);
  Plotly.newPlot(chart, data, layout, config);
});
addEventListener("load", draw);
addEventListener("toggle", draw, true);
