// The embedding map: Plotly draws it, hovering fetches one case, a click or a lasso sends positions back.
const WEBGL_FROM = 5000; // below it plain SVG is as fast, and works where WebGL does not
const points = props.points;
const cases = new Map();
let hovered = null;

const stage = () => element.querySelector(".mm-map");
const tip = () => element.querySelector(".mm-tip");
const narrow = () => element.clientWidth < 600;
let wasNarrow = null;
const style = (name) => getComputedStyle(element).getPropertyValue(name).trim();

function traces(value) {
  const type = points.x.length > WEBGL_FROM ? "scattergl" : "scatter";
  const size = points.x.length > WEBGL_FROM ? 4 : 8;
  const drawn = value.groups.map((group) => ({
    type,
    mode: "markers",
    name: group.name,
    legendrank: group.last ? 1001 : 1000,
    x: group.positions.map((position) => points.x[position]),
    y: group.positions.map((position) => points.y[position]),
    customdata: group.positions,
    hoverinfo: "none",
    marker: { color: group.colour, size, opacity: 0.8, line: { width: 0.5, color: style("--background-fill-primary") } },
    unselected: { marker: { opacity: 0.15 } },
  }));
  if (value.point)
    drawn.push({
      type, // of the other kind it would lie below them
      mode: "markers+text",
      name: props.sentences.yours,
      legendrank: 1002,
      x: [value.point[0]],
      y: [value.point[1]],
      text: [props.sentences.yours],
      textposition: "top center",
      hoverinfo: "none",
      unselected: { marker: { opacity: 1 }, textfont: { color: style("--body-text-color") } },
      marker: { symbol: "star", size: 20, color: "#F0E442", line: { width: 1.5, color: "#000000" } },
    });
  return drawn;
}

function layout() {
  wasNarrow = narrow();
  const axis = { visible: false, zeroline: false, showgrid: false };
  return {
    dragmode: "pan",
    uirevision: "kept",
    margin: { l: 8, r: 8, t: 8, b: 8 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: style("--body-text-color"), family: style("--font") },
    modebar: { orientation: "h", bgcolor: "rgba(0,0,0,0)", color: style("--body-text-color-subdued"), activecolor: style("--color-accent") },
    legend: { orientation: "h", x: 0.5, xanchor: "center", y: 0, yanchor: "top", itemsizing: "constant" },
    xaxis: axis,
    yaxis: { ...axis, scaleanchor: wasNarrow ? undefined : "x" },
  };
}

const config = {
  responsive: true,
  scrollZoom: true,
  displaylogo: false,
  displayModeBar: true,
  showSendToCloud: false,
  modeBarButtonsToRemove: ["toImage", "autoScale2d"],
};

function draw() {
  const plot = stage();
  if (!plot || !props.value) return;
  if (!window.Plotly) {
    plot.textContent = props.sentences.undrawn;
    return;
  }
  const bound = Boolean(plot.on);
  window.Plotly.react(plot, traces(props.value), layout(), config);
  if (bound) return;
  plot.on("plotly_hover", (event) => show(event.points[0], event.event));
  plot.on("plotly_unhover", hide);
  plot.on("plotly_click", (event) => send(event.points));
  plot.on("plotly_selected", (event) => event && send(event.points));
}

function send(chosen) {
  const positions = chosen.map((point) => point.customdata).filter((position) => position !== undefined);
  if (positions.length) trigger("select", { positions });
}

async function show(point, pointer) {
  hovered = point.customdata;
  if (hovered === undefined) return;
  const wanted = hovered;
  if (!cases.has(wanted)) cases.set(wanted, await server.hovered(wanted));
  if (hovered !== wanted) return;
  const box = element.getBoundingClientRect();
  const note = tip();
  note.innerHTML = cases.get(wanted); // from a template that escapes every name
  note.hidden = false;
  const left = pointer.clientX - box.left;
  note.style.left = `${Math.max(0, Math.min(left + 14, box.width - note.offsetWidth))}px`;
  note.style.top = `${Math.max(0, pointer.clientY - box.top - note.offsetHeight - 14)}px`;
}

function hide() {
  hovered = null;
  tip().hidden = true;
}

new ResizeObserver(() => {
  const plot = stage();
  if (!plot?.on || !plot.clientWidth) return;
  window.Plotly.Plots.resize(plot);
  if (narrow() !== wasNarrow) window.Plotly.relayout(plot, layout());
}).observe(element);
watch("value", draw);
draw();
