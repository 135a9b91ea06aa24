// Drives the map and regl-scatterplot through the same steps; see bench_map.py.
const CLASSES = 30;
const LASSO = [[0.25, 0.25], [0.75, 0.25], [0.75, 0.75], [0.25, 0.75]];
const stage = document.getElementById("stage");
let places, codes;

async function load() {
  const bytes = async (path) => (await fetch(path)).arrayBuffer();
  places = new Uint16Array(await bytes("/places"));
  const both = new Uint8Array(await bytes("/codes"));
  codes = [both.subarray(0, both.length / 2), both.subarray(both.length / 2)];
}

const nextFrame = () => new Promise(requestAnimationFrame);

// A frame is over when its pixels can be read.
async function settled() {
  await nextFrame();
  await nextFrame();
  const canvas = stage.querySelector("canvas");
  const gl = canvas.getContext("webgl");
  if (gl) gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4));
}

async function timed(act) {
  const start = performance.now();
  await act();
  await settled();
  return (performance.now() - start) / 1000;
}

const colours = Array.from({ length: CLASSES }, (_, i) => `#${((i * 2654435761) & 0xffffff).toString(16).padStart(6, "0")}`);

async function measureMap(kind) {
  const hues = new Uint32Array(256).fill(0xff808080);
  colours.forEach((colour, code) => (hues[code] = (0xff000000 | parseInt(colour.slice(1), 16)) >>> 0));
  let map;
  const result = {};
  result.first_frame = await timed(() => {
    map = createMap(stage, { extent: [1, 1], kind });
    map.load(places);
    map.show({ codes: codes[0], hues });
  });
  result.recolour = await timed(() => map.show({ codes: codes[1], hues }));
  const gaps = [];
  for (let i = 0, last = performance.now(); i < 40; i++) {
    map.lookAt({ x: 32768 + 200 * i, zoom: 1.5 });
    await nextFrame();
    if (i >= 20) gaps.push(performance.now() - last); // it takes some frames to learn how many points it can draw
    last = performance.now();
  }
  result.moving_frame = gaps.sort((a, b) => a - b)[gaps.length >> 1] / 1000;
  await new Promise((done) => setTimeout(done, 500));
  result.frame = await timed(() => ((map.view.x = 32768), map.redraw()));
  const hovers = [];
  for (let i = 0; i < 200; i++) {
    const start = performance.now();
    map.nearest([(stage.clientWidth * ((i * 37) % 200)) / 200, (stage.clientHeight * ((i * 91) % 200)) / 200]);
    hovers.push(performance.now() - start);
  }
  result.first_hover = hovers[0] / 1000; // the grid was built while nothing moved
  result.hover = Math.max(...hovers.slice(1)) / 1000;
  const corners = LASSO.map(([x, y]) => map.place([x * stage.clientWidth, y * stage.clientHeight]));
  result.lasso = await timed(() => map.show({ selected: map.within(corners) }));
  return result;
}

async function measureRegl() {
  window.createPubSub = (await import("/npm/pub-sub-es/dist/index.js")).default;
  for (const path of ["regl/dist/regl.min.js", "regl-scatterplot/dist/regl-scatterplot.min.js"])
    await new Promise((done, failed) =>
      document.head.append(Object.assign(document.createElement("script"), { src: `/npm/${path}`, onload: done, onerror: failed })),
    );
  const canvas = document.createElement("canvas");
  stage.append(canvas);
  const count = places.length / 2;
  const [x, y] = [0, 1].map((axis) => Float32Array.from({ length: count }, (_, i) => (places[2 * i + axis] / 65535) * 2 - 1));
  const values = codes.map((each) => Float32Array.from(each));
  const result = {};
  let plot;
  // From a million points on it builds its index in a worker, which its bundled file leaves without its own helpers:
  // the worker dies and the drawing never ends.
  const spatialIndexUseWorker = false;
  result.first_frame = await timed(async () => {
    plot = createScatterplot.default({ canvas, width: stage.clientWidth, height: stage.clientHeight, pointSize: 2, colorBy: "valueA", pointColor: colours, spatialIndexUseWorker });
    await plot.draw({ x, y, valueA: values[0] }, { zDataType: "categorical" });
  });
  // With the index of the first drawing, so that it need not be built again.
  const spatialIndex = plot.get("spatialIndex");
  result.recolour = await timed(() => plot.draw({ x, y, valueA: values[1] }, { zDataType: "categorical", spatialIndex }));
  result.frame = await timed(() => plot.zoomToLocation([0.1, 0], 0.8));
  await plot.zoomToLocation([0, 0], 1);
  const corners = LASSO.map(([across, down]) => [across * 2 - 1, 1 - down * 2]);
  result.lasso = await timed(() => plot.lassoSelect(corners, { isGl: true }));
  return result;
}

function measure(side) {
  return side === "regl" ? measureRegl() : measureMap(side);
}
