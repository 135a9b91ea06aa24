// One picture on a canvas: fetched once, windowed here, zoomed and moved without asking the server again.
const LINEAR = (value, { centre, width, function: kind }) => {
  if (kind === "SIGMOID") return 255 / (1 + Math.exp((-4 * (value - centre)) / width));
  if (kind === "LINEAR_EXACT") return ((value - centre) / width + 0.5) * 255;
  return ((value - (centre - 0.5)) / Math.max(width - 1, 1e-9) + 0.5) * 255;
};

// A picture as the server packs it: the length of a header, the header, the content.
async function unpackPicture(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const about = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const start = 4 + length;
  if (about.kind === "colour") {
    const bitmap = await createImageBitmap(new Blob([buffer.slice(start)], { type: "image/png" }));
    return { ...about, bitmap };
  }
  const count = about.width * about.height;
  return { ...about, codes: new Uint16Array(buffer, start, count), ownCurve: new Uint8Array(buffer, start + 2 * count, about.curve) };
}

function createPicture(canvas, onView) {
  const context = canvas.getContext("2d");
  const sheet = document.createElement("canvas");
  let [picture, looked, queued] = [null, {}, false];
  const view = { zoom: 1, x: 0, y: 0 }; // the middle of the picture that is in the middle of the stage, in shares

  // How each code is shown, from black to white.
  function curve() {
    const own = looked.window === null;
    const table = new Uint8Array(picture.ownCurve.length);
    for (let code = 1; code < table.length; code++) {
      const shown = own ? picture.ownCurve[code] : Math.round(LINEAR(picture.lowest + (code - 1) * picture.step, looked.window));
      const grey = shown < 0 ? 0 : shown > 255 ? 255 : shown;
      table[code] = inverted() ? 255 - grey : grey;
    }
    return table;
  }

  const inverted = () => looked.inverted ?? picture.inverted ?? false;

  function develop() {
    const { width, height } = picture;
    const brush = sheet.getContext("2d", { willReadFrequently: true });
    if (sheet.width !== width || sheet.height !== height) [sheet.width, sheet.height] = [width, height];
    if (picture.kind === "colour") {
      brush.filter = inverted() ? "invert(1)" : "none";
      brush.drawImage(picture.bitmap, 0, 0);
      return;
    }
    const table = curve();
    const colours = new Uint32Array(table.length);
    for (let code = 0; code < table.length; code++) colours[code] = 0xff000000 | (table[code] * 0x010101);
    const data = brush.createImageData(width, height);
    const words = new Uint32Array(data.data.buffer);
    for (let i = 0; i < words.length; i++) words[i] = colours[picture.codes[i]];
    brush.putImageData(data, 0, 0);
  }

  // Stage pixels for one pixel of the whole picture.
  const fit = () => Math.min(canvas.clientWidth / picture.fullWidth, canvas.clientHeight / picture.fullHeight);
  const scale = () => fit() * view.zoom;
  const corner = () => {
    const step = scale();
    return [canvas.clientWidth / 2 - (0.5 + view.x) * picture.fullWidth * step, canvas.clientHeight / 2 - (0.5 + view.y) * picture.fullHeight * step];
  };

  function draw() {
    queued = false;
    if (!picture || !canvas.clientWidth) return;
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = [Math.round(canvas.clientWidth * ratio), Math.round(canvas.clientHeight * ratio)];
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    const [left, top] = corner();
    const step = scale();
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.fillStyle = "#000";
    context.fillRect(0, 0, canvas.clientWidth, canvas.clientHeight);
    // Pixels stay pixels where they are enlarged much, so that none is made up.
    context.imageSmoothingEnabled = (step * picture.fullWidth) / picture.width < 4;
    context.imageSmoothingQuality = "high";
    context.drawImage(sheet, left, top, step * picture.fullWidth, step * picture.fullHeight);
    for (const box of looked.covered ?? []) context.fillRect(left + box.left * step, top + box.top * step, box.width * step, box.height * step);
    onView();
  }

  const redraw = () => {
    if (queued) return;
    queued = true;
    requestAnimationFrame(draw);
  };

  function limit() {
    view.zoom = Math.min(40, Math.max(1, view.zoom));
    const most = 0.5 - 0.5 / view.zoom;
    for (const axis of ["x", "y"]) view[axis] = Math.min(most, Math.max(-most, view[axis]));
  }

  return {
    view,
    redraw,
    get picture() { return picture; },
    get scale() { return scale(); },
    show(next, how) {
      [picture, looked] = [next, how];
      develop();
      redraw();
    },
    look(next) {
      const before = looked;
      looked = next;
      if (picture && (before.window !== looked.window || before.inverted !== looked.inverted)) develop();
      redraw();
    },
    // Zooms so that what is under a place of the stage stays there.
    zoomAt(factor, [x, y] = [canvas.clientWidth / 2, canvas.clientHeight / 2]) {
      if (!picture) return;
      const before = this.toPicture([x, y]);
      view.zoom *= factor;
      limit();
      const after = this.toPicture([x, y]);
      view.x += (before[0] - after[0]) / picture.fullWidth;
      view.y += (before[1] - after[1]) / picture.fullHeight;
      limit();
      redraw();
    },
    moveBy(x, y) {
      if (!picture) return;
      view.x -= x / (scale() * picture.fullWidth);
      view.y -= y / (scale() * picture.fullHeight);
      limit();
      redraw();
    },
    home() {
      Object.assign(view, { zoom: 1, x: 0, y: 0 });
      redraw();
    },
    toPicture([x, y]) {
      const [left, top] = corner();
      return [(x - left) / scale(), (y - top) / scale()];
    },
    toStage([x, y]) {
      const [left, top] = corner();
      return [left + x * scale(), top + y * scale()];
    },
    valueAt(place) {
      if (picture?.kind !== "grey") return null;
      const [x, y] = this.toPicture(place);
      const column = Math.floor((x * picture.width) / picture.fullWidth);
      const row = Math.floor((y * picture.height) / picture.fullHeight);
      if (column < 0 || row < 0 || column >= picture.width || row >= picture.height) return null;
      const code = picture.codes[row * picture.width + column];
      return code ? picture.lowest + (code - 1) * picture.step : null;
    },
  };
}
