// Where the views get what they show: columns and orders as bytes, records by the page, pictures one by one.
const MOST_RECORDS = 20000; // that are kept

function servedData({ columns, explore, version, pictured, sentences, rewritten }) {
  const kept = new Map();
  const rows = new Map();
  let [told, patience] = [() => {}, 0];

  // The state of the collection that this page was opened with: another one counts its cases otherwise.
  const ask = (address, options) => fetch(`${address}?state=${version}`, options);
  async function answer(request) {
    const got = await request;
    if (got.ok) return got;
    const said = got.headers.get("Content-Type")?.startsWith("text/plain") ? await got.text() : "";
    throw new Error(said || String(got.status));
  }
  // What the server computes in the background is asked for until it is there.
  async function finished(address, begin) {
    let got = await answer(ask(address));
    if (got.status !== 202) return got;
    const mine = patience;
    await begin();
    while (got.status === 202) {
      const state = await got.json();
      if (mine !== patience) throw Object.assign(new Error(sentences.given_up), { givenUp: true });
      if (state.failed) throw new Error(sentences.unmade.replace("{}", state.failed));
      if (state.step) told(state); // at first it has not begun
      await new Promise((done) => setTimeout(done, 700));
      got = await answer(ask(address));
    }
    return got;
  }
  function once(address, read, begin = () => post("measure", {})) {
    if (!kept.has(address)) {
      const found = finished(address, begin).finally(() => told(null)).then(read);
      kept.set(address, found);
      found.catch(() => kept.delete(address)); // so that it can be asked for again
    }
    return kept.get(address);
  }
  const post = (address, body) =>
    answer(ask(`${explore}/${address}`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }));
  const bytes = (got) => got.arrayBuffer();

  return {
    post,
    // Who is told how far the server is with what it computes, null at the end; and no longer waiting for that.
    making: (tell) => (told = tell),
    giveUp: () => patience++,
    places: () => once(`${columns}/places`, bytes).then((found) => new Uint16Array(found)),
    // Of a second map: each point's number on the first, and how many neighbours their cases share.
    points: () => once(`${columns}/points`, bytes).then((found) => new Uint32Array(found)),
    overlap: () => once(`${explore}/overlap`, (got) => got.json(), () => {}), // asking begins it
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
    // What people wrote: which tags there are, and one flag a point that has a tag, or a note where it is "".
    notes: () => answer(ask(`${explore}/notes`)).then((got) => got.json()),
    tagged: async (tag) => unpacked(await (await post("tagged", { tag })).arrayBuffer()),
    // Asks anew for what changes when people write.
    forget() {
      rows.clear();
      for (const address of kept.keys())
        if (rewritten.some((number) => [`${columns}/${number}`, `${explore}/facts/${number}`].includes(address)) || address.startsWith(`${explore}/order/`)) kept.delete(address);
    },
    checks: () => answer(ask(`${explore}/checks`)).then((got) => got.json()),
    found: (name) => answer(ask(`${explore}/checks/found/${encodeURIComponent(name)}`)).then((got) => got.json()),
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
