// Two runs side by side: their pictures, the maps of the concepts they share, and what differs.
"use strict";

const Comparison = (() => {
  const {make, number, rangeOf, paintPixels, colorTables} = Viewer;

  const load = source => new Promise((resolve, reject) => {
    const image = new Image();
    image.onload = () => resolve(image);
    image.onerror = () => reject(new Error("a picture could not be read"));
    image.src = source;
  });
  const pixelsOf = (image, width, height) => {
    const canvas = document.createElement("canvas");
    canvas.width = width; canvas.height = height;
    const context = canvas.getContext("2d", {willReadFrequently: true});
    context.drawImage(image, 0, 0, width, height);
    return context.getImageData(0, 0, width, height).data;
  };
  /// Blue for less, red for more, the ground's gray for the same.
  const signed = share => {
    const v = Math.max(-1, Math.min(1, share)), rest = Math.round(235 * (1 - Math.abs(v)));
    return v < 0 ? [rest, rest, 235, 255] : [235, rest, rest, 255];
  };

  /// What differs between the settings of two runs.
  function settings(first, second) {
    const flat = (value, path, into) => {
      if (value !== null && typeof value === "object" && !Array.isArray(value))
        for (const key in value) flat(value[key], path ? path + "." + key : key, into);
      else into.set(path, Array.isArray(value) ? value.join(", ") : String(value));
      return into;
    };
    const quiet = /^(seconds|peak_tensor_bytes|program|arguments)/;
    const [a, b] = [first, second].map(run => flat(run.metadata.run || {}, "", new Map()));
    return [...new Set([...a.keys(), ...b.keys()])].filter(key => !quiet.test(key) && a.get(key) !== b.get(key))
      .map(key => [key, a.get(key) ?? "none", b.get(key) ?? "none"]);
  }

  async function show(root, first, second, names, colors) {
    root.textContent = ""; root.classList.add("comparison");
    make("h2", root, "Run " + names[0] + " beside run " + names[1]);
    const said = make("p", root, "Move over a map for the values of both.", {class: "note", "aria-live": "polite"});
    const pair = heading => {
      make("h3", root, heading);
      return make("div", root, null, {class: "pair"});
    };
    const figure = (row, caption) => {
      const element = make("figure", row), stage = make("div", element, null, {class: "stage"});
      make("figcaption", element, caption);
      return stage;
    };
    const images = await Promise.all([first, second].map(run => load(run.picture)));
    const pictures = pair("Picture");
    images.forEach((image, i) => { image.alt = "picture of run " + names[i]; figure(pictures, "run " + names[i]).append(image); });
    const width = images[0].naturalWidth, height = images[0].naturalHeight;
    const [a, b] = images.map(image => pixelsOf(image, width, height));
    let changed = 0, most = 0;
    const difference = make("canvas", null);
    paintPixels(difference, width, height, i => {
      const by = [0, 1, 2].map(k => Math.abs(a[i * 4 + k] - b[i * 4 + k]));
      const high = Math.max(...by);
      if (high) changed++;
      most = Math.max(most, high);
      return [...by.map(v => Math.min(255, v * 2)), 255];
    }, false);
    const shared = changed ? Math.round(1000 * changed / (width * height)) / 10 + " % of the pixels differ, by " + most + " of 255 at most"
      : "no pixel differs";
    const stage = figure(pictures, "difference: " + shared);
    stage.dataset.changed = changed;
    difference.style.position = "static"; difference.setAttribute("role", "img"); difference.setAttribute("aria-label", shared);
    stage.append(difference);

    const table = colorTables(colors)[first.metadata.color_map] || Object.values(colorTables(colors))[0];
    for (const concept of first.concepts.filter(name => second.concepts.includes(name))) {
      const maps = [first, second].map(run => run.mapsOf("average")[run.concepts.indexOf(concept)]);
      const [low, high] = rangeOf(maps), scale = high > low ? 256 / (high - low) : 0;
      const row = pair(concept), same = first.width === second.width && first.height === second.height;
      const stages = maps.map((map, k) => {
        const run = [first, second][k], stage = figure(row, "run " + names[k]), canvas = make("canvas", stage);
        canvas.style.position = "static";
        paintPixels(canvas, run.width, run.height, i =>
          [...table[Number.isFinite(map[i]) ? Math.max(0, Math.min(255, Math.floor((map[i] - low) * scale))) : 0], 255], true);
        return stage;
      });
      if (!same) { figure(row, "maps of different sizes have no difference"); continue; }
      const by = Float32Array.from(maps[0], (v, i) => maps[1][i] - v), [least, largest] = rangeOf([by]);
      const reach = Math.max(Math.abs(least), Math.abs(largest));
      const last = figure(row, "difference: " + number(least) + " to " + number(largest)), canvas = make("canvas", last);
      last.dataset.reach = reach;
      canvas.style.position = "static";
      paintPixels(canvas, first.width, first.height, i => signed(reach ? by[i] / reach : 0), true);
      for (const stage of [...stages, last]) {
        stage.onpointermove = event => {
          const box = stage.getBoundingClientRect(), hold = (v, size) => Math.max(0, Math.min(size - 1, Math.floor(v)));
          const row = hold((event.clientY - box.top) / box.height * first.height, first.height);
          const column = hold((event.clientX - box.left) / box.width * first.width, first.width), i = row * first.width + column;
          said.textContent = concept + ", row " + row + ", column " + column + ": " + number(maps[0][i]) + " and "
            + number(maps[1][i]) + ", difference " + number(by[i]);
        };
      }
    }
    const found = settings(first, second);
    make("h3", root, found.length ? "Settings that differ" : "All settings are the same");
    if (!found.length) return;
    const body = make("table", make("div", root, null, {class: "scroll"}));
    const head = make("tr", make("thead", body)), rows = make("tbody", body);
    for (const text of ["", "run " + names[0], "run " + names[1]]) make("th", head, text, {scope: "col"});
    for (const [key, ...values] of found) {
      const line = make("tr", rows);
      make("th", line, key, {scope: "row"});
      for (const value of values) make("td", line, value);
    }
  }

  return {show};
})();
