// Where the views get what they show: columns and orders as bytes, records by the page, pictures one by one.
const MOST_RECORDS = 20000; // that are kept

function servedData({ columns, explore, version, pictured }) {
  const kept = new Map();
  const rows = new Map();

  async function answer(request) {
    const got = await request;
    if (got.ok) return got;
    const said = got.headers.get("Content-Type")?.startsWith("text/plain") ? await got.text() : "";
    throw new Error(said || String(got.status));
  }
  function once(address, read) {
    if (!kept.has(address)) {
      const found = answer(fetch(address)).then(read);
      kept.set(address, found);
      found.catch(() => kept.delete(address)); // so that it can be asked for again
    }
    return kept.get(address);
  }
  const post = (address, body) =>
    answer(fetch(`${explore}/${address}`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }));
  const bytes = (got) => got.arrayBuffer();

  return {
    post,
    places: () => once(`${columns}/places`, bytes).then((found) => new Uint16Array(found)),
    // A byte a point.
    column: (number) => once(`${columns}/${number}`, bytes).then((found) => new Uint8Array(found)),
    // The groups and limits of a column.
    facts: (number) => once(`${explore}/facts/${number}`, (got) => got.json()),
    // All points sorted by what a record holds under a name.
    order: (name) => once(`${explore}/order/${encodeURIComponent(name)}`, bytes).then((found) => new Uint32Array(found)),
    picture: (point) => (pictured ? `${explore}/picture/${version}/${point}` : ""),
    records(points) {
      if (rows.size > MOST_RECORDS) rows.clear();
      const missing = points.filter((point) => !rows.has(point));
      if (missing.length) {
        const found = post("records", { points: missing }).then((got) => got.json());
        missing.forEach((point, i) => rows.set(point, found.then((list) => list[i])));
        found.catch(() => missing.forEach((point) => rows.delete(point)));
      }
      return Promise.all(points.map((point) => rows.get(point)));
    },
    checks: () => answer(fetch(`${explore}/checks`)).then((got) => got.json()),
    found: (name) => answer(fetch(`${explore}/checks/found/${name}`)).then((got) => got.json()),
    // One flag a point: whether its record holds all words of a text.
    search: async (text) => unpacked(await (await post("search", { text })).arrayBuffer()),
  };
}

// Flags and bits, the first flag in the lowest bit of the first byte.
function unpacked(bits, count = Infinity) {
  const packed = new Uint8Array(bits);
  const flags = new Uint8Array(Math.min(count, 8 * packed.length));
  for (let i = 0; i < flags.length; i++) flags[i] = (packed[i >> 3] >> (i & 7)) & 1;
  return flags;
}

function packedText(flags) {
  const packed = new Uint8Array(Math.ceil(flags.length / 8));
  for (let i = 0; i < flags.length; i++) packed[i >> 3] |= flags[i] << (i & 7);
  let text = "";
  for (let i = 0; i < packed.length; i += 8192) text += String.fromCharCode(...packed.subarray(i, i + 8192));
  return btoa(text);
}
