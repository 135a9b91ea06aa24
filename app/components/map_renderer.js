// Draws the points of a map, finds the one under the pointer, selects. It knows neither Gradio nor medicine.
// Points lie in 0..65535 on both axes and come in shuffled order, so that the first few are a fair sample of all.
const SPAN = 65535;
const CELLS = 512; // of the grid that is searched for the point under the pointer, on each side
const MOST_ZOOM = 200;
const STRETCH = 2; // how much longer a unit may be on one axis than on the other, so that the map fills its frame

const VERTEX = `attribute vec2 place; attribute vec4 hue; uniform vec4 camera; uniform float size; varying vec4 colour;
  void main() { gl_Position = vec4(place * camera.xy + camera.zw, 0.0, 1.0); gl_PointSize = size; colour = hue; }`;
const FRAGMENT = `precision mediump float; varying vec4 colour; uniform float across;
  void main() {
    float inside = clamp((0.5 - distance(gl_PointCoord, vec2(0.5))) * across + 0.5, 0.0, 1.0);
    gl_FragColor = vec4(colour.rgb, inside);
  }`;

// Paints with WebGL; null where none is, or none that a graphics card runs and `software` does not allow another.
function webglPainter(canvas, software) {
  const gl = canvas.getContext("webgl", { alpha: false, antialias: false, failIfMajorPerformanceCaveat: !software });
  if (!gl) return null;
  const program = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) return null;
  gl.useProgram(program);
  const uniform = (name) => gl.getUniformLocation(program, name);
  const [camera, size, across] = ["camera", "size", "across"].map(uniform);
  const fill = (buffer, name, values, [parts, type, normalised]) => {
    const at = gl.getAttribLocation(program, name);
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
    gl.bufferData(gl.ARRAY_BUFFER, values, gl.STATIC_DRAW);
    gl.enableVertexAttribArray(at);
    gl.vertexAttribPointer(at, parts, type, normalised, 0, 0);
  };
  const [places, hues] = [gl.createBuffer(), gl.createBuffer()];
  gl.blendFunc(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA);
  return {
    name: "webgl",
    load(xy, rgba) {
      fill(places, "place", xy, [2, gl.UNSIGNED_SHORT, false]);
      fill(hues, "hue", new Uint8Array(rgba.buffer), [4, gl.UNSIGNED_BYTE, true]);
    },
    paint([kx, ky, tx, ty], ranges, diameter, background) {
      const { width, height } = canvas;
      gl.viewport(0, 0, width, height);
      gl.clearColor((background & 255) / 255, ((background >> 8) & 255) / 255, ((background >> 16) & 255) / 255, 1);
      gl.clear(gl.COLOR_BUFFER_BIT);
      gl.uniform4f(camera, (2 * kx) / width, (-2 * ky) / height, (2 * tx) / width - 1, 1 - (2 * ty) / height);
      gl.uniform1f(size, diameter);
      gl.uniform1f(across, diameter < 3 ? 1e4 : diameter); // too small for a soft edge: faster without
      gl[diameter < 3 ? "disable" : "enable"](gl.BLEND);
      for (const [from, to] of ranges) if (to > from) gl.drawArrays(gl.POINTS, from, to - from);
    },
  };
}

// Paints into the pixels of a plain canvas: without a graphics card several times faster than WebGL in software.
function pixelPainter(canvas) {
  const context = canvas.getContext("2d", { alpha: false });
  if (!context) return null;
  let xy, rgba, image, pixels;
  return {
    name: "pixels",
    load: (places, hues) => ([xy, rgba] = [places, hues]),
    paint([kx, ky, tx, ty], ranges, diameter, background) {
      const { width, height } = canvas;
      if (image?.width !== width || image.height !== height) {
        image = context.createImageData(width, height);
        pixels = new Uint32Array(image.data.buffer);
      }
      pixels.fill(background);
      const reach = Math.ceil(diameter / 2);
      const [offsets, weights] = disc(diameter, width);
      for (const [from, to] of ranges)
        for (let i = from; i < to; i++) {
          const x = (xy[2 * i] * kx + tx) | 0;
          const y = (xy[2 * i + 1] * ky + ty) | 0;
          if (x < reach || y < reach || x >= width - reach || y >= height - reach) continue;
          const centre = y * width + x;
          const hue = rgba[i];
          for (let k = 0; k < offsets.length; k++) {
            const at = centre + offsets[k];
            const weight = weights[k];
            pixels[at] = weight === 256 ? hue : blend(hue, pixels[at], weight);
          }
        }
      context.putImageData(image, 0, 0);
    },
  };
}

function blend(over, under, weight) {
  const rest = 256 - weight;
  const redBlue = (((over & 0xff00ff) * weight + (under & 0xff00ff) * rest) >>> 8) & 0xff00ff;
  const green = (((over & 0xff00) * weight + (under & 0xff00) * rest) >>> 8) & 0xff00;
  return 0xff000000 | redBlue | green;
}

// The pixels of a disc as offsets in an image of some width, each with how much of it is covered, 0..256.
function disc(diameter, width) {
  const [offsets, weights] = [[], []];
  const reach = Math.ceil(diameter / 2);
  for (let y = -reach; y < reach; y++)
    for (let x = -reach; x < reach; x++) {
      const covered = diameter < 3 ? 1 : Math.min(1, diameter / 2 - Math.hypot(x + 0.5, y + 0.5) + 0.5);
      if (covered <= 0.02) continue;
      offsets.push(y * width + x);
      weights.push(Math.round(256 * covered));
    }
  return [Int32Array.from(offsets), Int32Array.from(weights)];
}

// A map in an element. `kind` is "webgl" or "pixels" to choose a painter, anything else to take the best.
function createMap(stage, { extent, kind, onView }) {
  const view = { x: SPAN / 2, y: SPAN / 2, zoom: 1 };
  const look = { background: 0xffffffff, dim: 0xffd5d0cc, hues: new Uint32Array(256) };
  let [xy, codes, selected] = [new Uint16Array(0), new Uint8Array(0), new Uint8Array(0)];
  let [count, chosen, budget, last, rest] = [0, 0, Infinity, 0, 0];
  let [canvas, painter, grid, asked, moving] = [null, null, null, 0, false];

  function begin(wanted) {
    const makers = { webgl: (c) => webglPainter(c, wanted === "webgl"), pixels: pixelPainter };
    for (const name of makers[wanted] ? [wanted] : ["webgl", "pixels"]) {
      const made = document.createElement("canvas"); // one that was asked for WebGL gives no pixels
      painter = makers[name](made);
      if (!painter) continue;
      canvas?.remove();
      canvas = made;
      stage.prepend(canvas);
      canvas.addEventListener("webglcontextlost", () => begin("pixels"));
      fit();
      return;
    }
  }

  function fit() {
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    canvas.width = Math.max(1, Math.round(stage.clientWidth * ratio));
    canvas.height = Math.max(1, Math.round(stage.clientHeight * ratio));
    compose();
    if (count) frame(performance.now()); // a canvas of another size is empty, and black until it is painted
  }

  const ratio = () => canvas.width / Math.max(1, stage.clientWidth);
  // Device pixels of a point: x·kx + tx, y·ky + ty.
  function camera() {
    const { width, height } = canvas;
    const margin = Math.min(24 * ratio(), width / 4, height / 4);
    const [across, up] = [(width - 2 * margin) / extent[0], (height - 2 * margin) / extent[1]];
    const kx = (Math.min(across, STRETCH * up) * extent[0] * view.zoom) / SPAN;
    const ky = (-Math.min(up, STRETCH * across) * extent[1] * view.zoom) / SPAN;
    return [kx, ky, width / 2 - view.x * kx, height / 2 - view.y * ky];
  }

  function diameter() {
    const whole = Math.max(2, Math.min(9, 42 / count ** 0.25));
    return Math.min(16, whole * view.zoom ** 0.35) * ratio();
  }

  // The colours in drawing order: what is not selected lies below what is, and is grey instead of gone.
  function compose() {
    if (!painter) return;
    const { hues, dim } = look;
    const rgba = new Uint32Array(count);
    let places = xy;
    if (!chosen) for (let i = 0; i < count; i++) rgba[i] = hues[codes[i]];
    else {
      const from = new Uint32Array(xy.buffer, xy.byteOffset, count); // a point is two numbers of 16 bits
      const to = new Uint32Array(count);
      let [low, high] = [0, count - chosen];
      for (let i = 0; i < count; i++) {
        const at = selected[i] ? high++ : low++;
        to[at] = from[i];
        rgba[at] = selected[i] ? hues[codes[i]] : dim;
      }
      places = new Uint16Array(to.buffer);
    }
    painter.load(places, rgba);
    ask();
  }

  function ask() {
    asked ||= requestAnimationFrame(frame);
  }

  // While the view moves only so many points are drawn that it moves smoothly; all of them as soon as it rests.
  function frame(now) {
    cancelAnimationFrame(asked);
    asked = 0;
    const share = moving ? Math.min(1, budget / count) : 1;
    const others = count - chosen;
    painter.paint(camera(), [[0, share * others | 0], [others, others + (share * chosen | 0)]], diameter(), look.background);
    onView?.();
    if (!moving) return;
    const gap = now - last;
    last = now;
    if (gap < 1000) budget = Math.max(2e4, Math.min(2 * count, share * count) * Math.max(0.5, Math.min(1.5, 28 / gap)));
    clearTimeout(rest);
    rest = setTimeout(() => ((moving = false), ask()), 160);
  }

  function lookAt(change) {
    Object.assign(view, change);
    view.zoom = Math.max(0.5, Math.min(MOST_ZOOM, view.zoom));
    for (const axis of ["x", "y"]) view[axis] = Math.max(0, Math.min(SPAN, view[axis]));
    moving = true;
    ask();
  }

  function place([x, y]) {
    const [kx, ky, tx, ty] = camera();
    return [(x * ratio() - tx) / kx, (y * ratio() - ty) / ky];
  }

  function index() {
    const heads = new Uint32Array(CELLS * CELLS + 1);
    const items = new Uint32Array(count);
    const cell = (i) => (xy[2 * i + 1] >> 7) * CELLS + (xy[2 * i] >> 7);
    for (let i = 0; i < count; i++) heads[cell(i)]++;
    for (let c = 1; c <= CELLS * CELLS; c++) heads[c] += heads[c - 1];
    for (let i = count - 1; i >= 0; i--) items[--heads[cell(i)]] = i;
    return { heads, items };
  }

  // The points in the cells that a box of the plane touches.
  function* near(left, bottom, right, top) {
    grid ??= index();
    const clamp = (value) => Math.max(0, Math.min(CELLS - 1, Math.floor(value) >> 7));
    for (let row = clamp(bottom); row <= clamp(top); row++)
      yield grid.items.subarray(grid.heads[row * CELLS + clamp(left)], grid.heads[row * CELLS + clamp(right) + 1]);
  }

  begin(kind);
  return {
    view,
    get painter() { return painter?.name ?? ""; },
    get count() { return count; },
    get chosen() { return chosen; },
    get selected() { return selected; },
    get codes() { return codes; },
    get hues() { return look.hues; },
    fit,
    lookAt,
    redraw: ask,
    load(places) {
      [xy, count, chosen, grid] = [places, places.length / 2, 0, null];
      [selected, codes] = [new Uint8Array(count), new Uint8Array(count)];
      // Before the pointer asks for it, or its first move over a million points would take a frame too long.
      (window.requestIdleCallback ?? setTimeout)(() => { grid ??= index(); });
    },
    // `codes`: a byte a point; `selected`: a flag a point; `hues`: a colour a code; `dim`, `background`: colours.
    show(changes) {
      ({ codes, selected } = { codes, selected, ...changes });
      Object.assign(look, changes);
      chosen = 0;
      for (let i = 0; i < count; i++) chosen += selected[i];
      compose();
    },
    // CSS pixels of a point, or of a place in the plane.
    locate(point) {
      const [kx, ky, tx, ty] = camera();
      const [x, y] = Array.isArray(point) ? point : [xy[2 * point], xy[2 * point + 1]];
      return [(x * kx + tx) / ratio(), (y * ky + ty) / ratio()];
    },
    place,
    // The point nearest to some CSS pixels, −1 where none is within reach.
    nearest([x, y], reach = 10) {
      const [kx, ky] = camera().map((k) => k / ratio());
      const [px, py] = place([x, y]);
      let [best, least] = [-1, reach * reach];
      for (const items of near(px - reach / kx, py + reach / ky, px + reach / kx, py - reach / ky))
        for (const i of items) {
          const distance = ((xy[2 * i] - px) * kx) ** 2 + ((xy[2 * i + 1] - py) * ky) ** 2;
          if (distance < least) [best, least] = [i, distance];
        }
      return best;
    },
    // The points in view, as long as they are at most so many; else null.
    inView(most) {
      const [[left, top], [right, bottom]] = [place([0, 0]), place([stage.clientWidth, stage.clientHeight])];
      const found = [];
      for (const items of near(left, bottom, right, top))
        for (const i of items) {
          if (xy[2 * i] < left || xy[2 * i] > right || xy[2 * i + 1] < bottom || xy[2 * i + 1] > top) continue;
          if (found.push(i) > most) return null;
        }
      return found;
    },
    // One flag a point: whether it lies within a polygon of the plane.
    within(corners) {
      const flags = new Uint8Array(count);
      const [xs, ys] = [corners.map(([x]) => x), corners.map(([, y]) => y)];
      for (const items of near(Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)))
        for (const i of items) {
          const [x, y] = [xy[2 * i], xy[2 * i + 1]];
          let inside = 0;
          for (let a = 0, b = xs.length - 1; a < xs.length; b = a++)
            if (ys[a] > y !== ys[b] > y && x < ((xs[b] - xs[a]) * (y - ys[a])) / (ys[b] - ys[a]) + xs[a]) inside ^= 1;
          flags[i] = inside;
        }
      return flags;
    },
  };
}
