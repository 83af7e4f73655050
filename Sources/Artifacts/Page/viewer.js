// Looks at one run: its picture, a map for each concept, the values under the cursor, and who says so. The page of a run
// (report.html) and the explorer show the same view. All text of users is set as text, never as markup.
"use strict";

const Viewer = (() => {
  const make = (tag, parent, text, attributes = {}) => {
    const element = document.createElement(tag);
    if (text !== undefined && text !== null) element.textContent = text;
    for (const name in attributes) element.setAttribute(name, attributes[name]);
    if (parent) parent.append(element);
    return element;
  };

  /// Four significant digits; the exact number is in the element's data-value.
  const number = value => Number.isFinite(value) ? String(Number(value.toPrecision(4))) : "no number";

  /// Tensors of a .safetensors file, single precision only, which maps are.
  function readSafetensors(buffer) {
    const length = Number(new DataView(buffer).getBigUint64(0, true));
    const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
    const tensors = new Map();
    for (const name in header) {
      if (name === "__metadata__") { tensors.metadata = header[name]; continue; }
      const {dtype, shape, data_offsets: [from, to]} = header[name];
      if (dtype !== "F32") throw new Error(name + " is of type " + dtype + ", expected F32");
      tensors.set(name, {shape, values: new Float32Array(buffer.slice(8 + length + from, 8 + length + to))});
    }
    return tensors;
  }

  const bytesOfBase64 = text => Uint8Array.from(atob(text), character => character.charCodeAt(0)).buffer;

  /// Colours that tell concepts apart, as far as there are few of them.
  const conceptColor = index => "hsl(" + (index * 137 + 210) % 360 + " 70% 52%)";
  const conceptPixel = index => {
    const hue = (index * 137 + 210) % 360, a = 0.7 * 0.48;
    const channel = n => {
      const k = (n + hue / 30) % 12;
      return Math.round(255 * (0.52 - a * Math.max(-1, Math.min(k - 3, 9 - k, 1))));
    };
    return [channel(0), channel(8), channel(4)];
  };

  const colorTables = colors => {
    const tables = {};
    for (const name in colors) {
      const hex = colors[name];
      tables[name] = Array.from({length: 256}, (_, i) =>
        hex ? [0, 2, 4].map(k => parseInt(hex.slice(i * 6 + k, i * 6 + k + 2), 16)) : [i, i, i]);
    }
    return tables;
  };

  /// The smallest and largest finite value.
  function rangeOf(maps) {
    let low = Infinity, high = -Infinity;
    for (const map of maps) for (const v of map) if (Number.isFinite(v)) { low = Math.min(low, v); high = Math.max(high, v); }
    return low <= high ? [low, high] : [0, 0];
  }

  function paintPixels(canvas, width, height, pixel, smooth) {
    canvas.width = width; canvas.height = height;
    const context = canvas.getContext("2d"), data = context.createImageData(width, height);
    for (let i = 0; i < width * height; i++) data.data.set(pixel(i), i * 4);
    context.putImageData(data, 0, 0);
    canvas.classList.toggle("smooth", smooth);
  }

  /// What a run's files say.
  class Run {
    /// - metadata: of metadata.json; tensors: of maps.safetensors; pictures: addresses, one for each frame
    constructor(metadata, tensors, pictures) {
      Object.assign(this, {metadata, pictures, mapFrame: 0});
      this.title = metadata.title;
      this.concepts = metadata.concepts.map(concept => concept.name);
      this.names = metadata.maps.filter(name => tensors.has(name));
      const shape = tensors.get(this.names[0]).shape;
      this.height = shape[shape.length - 2]; this.width = shape[shape.length - 1];
      const size = this.height * this.width;
      // By name, frame and concept. Where a kind of maps has one frame only, it stands for all.
      this.frames = new Map(this.names.map(name => {
        const {shape, values} = tensors.get(name), count = shape.length === 4 ? shape[1] : 1;
        return [name, Array.from({length: count}, (_, frame) => this.concepts.map((_, i) =>
          values.subarray((i * count + frame) * size, (i * count + frame + 1) * size)))];
      }));
    }

    get picture() { return this.pictures[0]; }
    /// The maps of the frame that is looked at, one for each concept.
    mapsOf(name) {
      const frames = this.frames.get(name);
      return frames[Math.min(this.mapFrame, frames.length - 1)];
    }
    /// Of one concept, or all, over all frames.
    rangeOf(name, concept) {
      return rangeOf(this.frames.get(name).flatMap(maps => concept === null ? maps : [maps[concept]]));
    }
    kinds(kind) { return this.names.filter(name => name.startsWith(kind + ".")); }
    values(name, cells) {
      return this.mapsOf(name).map(map => {
        let sum = 0;
        for (const cell of cells) sum += map[cell];
        return sum / cells.length;
      });
    }
    /// The concept with the highest value in a cell; -1 where there is no number.
    owner(name, cell) {
      const maps = this.mapsOf(name);
      let best = -1;
      maps.forEach((map, i) => { if (Number.isFinite(map[cell]) && (best < 0 || map[cell] > maps[best][cell])) best = i; });
      return best;
    }
    /// The cells around one that the same concept owns.
    region(name, cell) {
      const owner = this.owner(name, cell), found = new Set([cell]), waiting = [cell];
      while (waiting.length) {
        const at = waiting.pop(), column = at % this.width;
        const around = [at - this.width, at + this.width];
        if (column > 0) around.push(at - 1);
        if (column < this.width - 1) around.push(at + 1);
        for (const next of around) {
          if (next < 0 || next >= this.width * this.height || found.has(next) || this.owner(name, next) !== owner) continue;
          found.add(next); waiting.push(next);
        }
      }
      return [...found].sort((a, b) => a - b);
    }
  }

  /// Shows a run in an element.
  class View {
    constructor(root, run, colors, settings = {}) {
      this.root = root; this.run = run; this.tables = colorTables(colors);
      this.cards = []; this.small = []; this.stages = []; this.images = []; this.cell = 0; this.pinned = null;
      root.textContent = ""; root.classList.add("run");
      this.controls(settings);
      const body = make("div", root, null, {class: "body"});
      this.gallery = make("section", body, null, {class: "cards", "aria-label": "Pictures and maps"});
      this.panel = make("aside", body, null, {class: "panel", "aria-label": "Who owns this pixel"});
      this.status = make("p", root, null, {class: "spoken", "aria-live": "polite"});
      this.card("picture", null);
      run.concepts.forEach((concept, i) => this.card(concept, i));
      if (run.concepts.length > 1) this.card("who owns what", -1);
      const kept = make("section", root, null, {class: "kept"});
      for (const [kind, heading] of [["layer", "By layer"], ["step", "By step"], ["head", "By head"]])
        this.multiples(kept, kind, heading);
      this.table(make("details", root, null, {class: "details"}));
      this.repaint();
      this.hint();
    }

    controls(settings) {
      const bar = make("div", this.root, null, {class: "controls"});
      const select = (label, name, options, value) => {
        const element = make("select", make("label", bar, label + " "), null, {name});
        for (const [value, text] of options) make("option", element, text, {value});
        if (value !== undefined) element.value = value;
        element.onchange = () => { this.repaint(); this.tell(); };
        return element;
      };
      const input = (label, name, attributes, changed) => {
        const element = make("input", make("label", bar, label + " "), null, {name, ...attributes});
        element.oninput = changed;
        return element;
      };
      this.which = select("Maps", "which", this.run.names.map(name => [name, name.replace(".", " ")]));
      this.colors = select("Colours", "colors", Object.keys(this.tables).map(name => [name, name]),
        settings.colorMap || this.run.metadata.color_map);
      this.scaling = select("Scale", "scaling",
        [["perConcept", "each concept"], ["shared", "all concepts"]], this.run.metadata.scaling);
      this.opacity = input("Opacity of all", "opacity", {type: "range", min: 0, max: 1, step: 0.01, value: 0.55}, () => {
        for (const {canvas, slider} of this.cards) { slider.value = this.opacity.value; canvas.style.opacity = slider.value; }
      });
      this.smooth = input("smooth", "smooth", {type: "checkbox"}, () => this.repaint());
      this.smooth.checked = true;
      if (this.run.pictures.length > 1) this.time();
    }

    /// A video's frames: a slider, and a button that plays them.
    time() {
      const bar = make("div", this.root, null, {class: "controls time"}), count = this.run.pictures.length;
      const button = make("button", bar, "Play", {type: "button"});
      const slider = make("input", bar, null, {type: "range", min: 0, max: count - 1, value: 0, name: "frame", "aria-label": "frame"});
      const place = make("output", bar, "frame 0 of " + count);
      const seek = to => {
        const frame = to % count, before = this.run.mapFrame;
        slider.value = frame;
        place.textContent = "frame " + frame + " of " + count;
        this.run.mapFrame = (this.run.metadata.map_frames || [])[frame] ?? 0;
        for (const image of this.images) image.src = this.run.pictures[frame];
        if (this.run.mapFrame !== before) { this.repaint(); this.tell(); }
      };
      let timer = null;
      const pause = () => { clearInterval(timer); timer = null; button.textContent = "Play"; };
      slider.oninput = () => seek(Number(slider.value));
      button.onclick = () => {
        if (timer !== null) { pause(); return; }
        button.textContent = "Pause";
        timer = setInterval(() => { if (slider.isConnected) seek(Number(slider.value) + 1); else pause(); },
          1000 / (this.run.metadata.frames_per_second || 8));
      };
    }

    card(caption, concept) {
      const run = this.run, figure = make("figure", this.gallery);
      const stage = make("div", figure, null, {class: "stage", tabindex: "0", role: "application",
        "aria-roledescription": "picture", "aria-label":
          caption + ". Arrow keys move over the picture, Enter ranks the concepts of the region, Escape lets go."});
      if (concept !== null) stage.dataset.concept = caption;
      const image = make("img", stage);
      image.src = run.picture; image.alt = concept === null ? run.title : ""; image.draggable = false;
      this.images.push(image);
      const line = make("figcaption", figure), name = make("span", line, caption, {class: "caption"});
      if (concept !== null) {
        const canvas = make("canvas", stage), range = make("span", line, "", {class: "range"});
        const slider = make("input", line, null, {type: "range", min: 0, max: 1, step: 0.01, value: 0.55,
          "aria-label": "opacity of " + caption});
        slider.oninput = () => { canvas.style.opacity = slider.value; };
        slider.oninput();
        this.cards.push({canvas, slider, range, concept});
        if (concept >= 0) {
          const swatch = make("i", null, null, {class: "swatch"});
          swatch.style.background = conceptColor(concept);
          name.prepend(swatch);
        }
      }
      const marks = make("canvas", stage, null, {class: "marks", "aria-hidden": "true"});
      this.stages.push(marks);
      this.listen(stage);
    }

    listen(stage) {
      const run = this.run;
      const cellAt = event => {
        const box = stage.getBoundingClientRect(), hold = (v, size) => Math.max(0, Math.min(size - 1, Math.floor(v)));
        return hold((event.clientY - box.top) / box.height * run.height, run.height) * run.width
          + hold((event.clientX - box.left) / box.width * run.width, run.width);
      };
      let from = null;
      stage.onpointermove = event => {
        const cell = cellAt(event);
        if (from !== null && from !== cell) this.pin(this.box(from, cell)); else if (!this.pinned) this.show([cell], cell);
      };
      stage.onpointerdown = event => { if (event.button === 0) { from = cellAt(event); stage.setPointerCapture(event.pointerId); } };
      stage.onpointerup = event => {
        const cell = cellAt(event);
        if (from === cell) this.pinned && this.pinned.includes(cell) ? this.release() : this.pin(run.region(this.which.value, cell), cell);
        from = null;
      };
      stage.onpointercancel = () => { from = null; };
      stage.onpointerleave = () => { if (!this.pinned) this.hint(); };
      stage.onfocus = () => { if (!this.pinned) this.show([this.cell], this.cell); };
      stage.onblur = () => { if (!this.pinned) this.hint(); };
      stage.onkeydown = event => {
        const row = Math.floor(this.cell / run.width), column = this.cell % run.width;
        const moves = {ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0]};
        if (event.key in moves) {
          const [down, right] = moves[event.key];
          const hold = (v, size) => Math.max(0, Math.min(size - 1, v));
          this.cell = hold(row + down, run.height) * run.width + hold(column + right, run.width);
          this.pinned = null;
          this.show([this.cell], this.cell);
        } else if (event.key === "Enter" || event.key === " ") this.pin(run.region(this.which.value, this.cell), this.cell);
        else if (event.key === "Escape") this.release();
        else return;
        event.preventDefault();
      };
    }

    /// The rectangle between two cells.
    box(a, b) {
      const w = this.run.width, rows = [Math.floor(a / w), Math.floor(b / w)].sort((x, y) => x - y);
      const columns = [a % w, b % w].sort((x, y) => x - y), cells = [];
      for (let y = rows[0]; y <= rows[1]; y++) for (let x = columns[0]; x <= columns[1]; x++) cells.push(y * w + x);
      return cells;
    }

    pin(cells, cell) { this.pinned = cells; if (cell !== undefined) this.cell = cell; this.show(cells, null); }
    release() { this.pinned = null; this.show([this.cell], this.cell); }
    tell() { if (this.shown) this.show(this.shown, this.pinned ? null : this.cell); }

    hint() {
      this.shown = null;
      this.mark([]);
      this.panel.textContent = "";
      this.panel.classList.add("idle");
      make("h2", this.panel, "Who owns this pixel?");
      make("p", this.panel, "Move over a picture to see the values of all concepts there. Click a region, or draw a "
        + "rectangle, to rank them. With the keyboard: Tab to a picture, arrow keys, Enter.");
    }

    /// Bars of all concepts, ranked for a region.
    show(cells, cell) {
      const run = this.run, name = this.which.value, values = run.values(name, cells);
      this.shown = cells;
      if (cell !== null) this.cell = cell;
      this.mark(cells);
      const order = values.map((_, i) => i);
      const rank = v => Number.isFinite(v) ? v : -Infinity;
      if (cell === null) order.sort((a, b) => rank(values[b]) - rank(values[a]));
      const finite = values.filter(Number.isFinite), top = values.indexOf(Math.max(...finite));
      const low = Math.min(0, ...finite), high = Math.max(low + 1e-30, ...finite);
      const place = cell === null ? "region of " + cells.length + (cells.length === 1 ? " token" : " tokens")
        : "row " + Math.floor(cell / run.width) + ", column " + cell % run.width;
      this.panel.textContent = "";
      this.panel.classList.remove("idle");
      make("h2", this.panel, place);
      make("p", this.panel, name.replace(".", " ") + (cell === null ? ", mean of the region" : ""), {class: "note"});
      const list = make("ol", this.panel, null, {class: "bars"});
      for (const i of order) {
        const item = make("li", list, null, {class: i === top ? "first" : ""});
        item.dataset.concept = run.concepts[i]; item.dataset.value = values[i];
        make("span", item, run.concepts[i], {class: "name"});
        make("span", item, number(values[i]), {class: "value"});
        const bar = make("b", make("span", item, null, {class: "bar"}));
        bar.style.width = Number.isFinite(values[i]) ? 100 * (values[i] - low) / (high - low) + "%" : "0";
        bar.style.background = conceptColor(i);
      }
      if (top >= 0) for (const [kind, plural] of [["layer", "Layers"], ["head", "Heads"], ["step", "Steps"]])
        this.votes(kind, plural, top, cells);
      this.status.textContent = place + ": " + order.map(i => run.concepts[i] + " " + number(values[i])).join(", ");
    }

    /// What single layers, heads and steps say of a concept: a bar each, filled where it is the highest there too.
    votes(kind, plural, concept, cells) {
      const names = this.run.kinds(kind);
      if (names.length < 2) return;
      const all = names.map(name => this.run.values(name, cells));
      const agree = all.map(values => values[concept] === Math.max(...values.filter(Number.isFinite)));
      const high = Math.max(1e-30, ...all.map(values => values[concept]).filter(Number.isFinite));
      make("h3", this.panel, plural + " that say " + this.run.concepts[concept] + ": "
        + agree.filter(Boolean).length + " of " + names.length);
      const list = make("ul", this.panel, null, {class: "votes", "aria-label": plural});
      names.forEach((name, k) => {
        const value = all[k][concept], item = make("li", list, null, {class: agree[k] ? "agrees" : "",
          title: name.replace(".", " ") + ": " + number(value)});
        item.dataset.name = name; item.dataset.value = value;
        const bar = make("b", make("span", item, null, {class: "column"}));
        bar.style.height = Number.isFinite(value) ? Math.max(0, 100 * value / high) + "%" : "0";
        if (agree[k]) bar.style.background = conceptColor(concept);
        make("span", item, name.slice(kind.length + 1));
      });
    }

    /// Draws the outline of cells on every picture.
    mark(cells) {
      const {width, height} = this.run, scale = Math.max(1, Math.floor(512 / width)), inside = new Set(cells);
      for (const canvas of this.stages) {
        canvas.width = width * scale; canvas.height = height * scale;
        const context = canvas.getContext("2d");
        const edges = () => {
          context.beginPath();
          for (const cell of cells) {
            const x = cell % width, y = Math.floor(cell / width), line = (x0, y0, x1, y1) => {
              context.moveTo(x0 * scale, y0 * scale); context.lineTo(x1 * scale, y1 * scale);
            };
            if (!inside.has(cell - width)) line(x, y, x + 1, y);
            if (!inside.has(cell + width)) line(x, y + 1, x + 1, y + 1);
            if (x === 0 || !inside.has(cell - 1)) line(x, y, x, y + 1);
            if (x === width - 1 || !inside.has(cell + 1)) line(x + 1, y, x + 1, y + 1);
          }
          context.stroke();
        };
        context.strokeStyle = "#000"; context.lineWidth = 5; edges();
        context.strokeStyle = "#fff"; context.lineWidth = 2; edges();
      }
    }

    multiples(section, kind, heading) {
      const run = this.run, names = run.kinds(kind);
      if (!names.length) return;
      make("h2", section, heading);
      const table = make("table", make("div", section, null, {class: "scroll", tabindex: "0", role: "region", "aria-label": heading}));
      const head = make("tr", make("thead", table)), rows = make("tbody", table);
      make("td", head);
      for (const name of names) make("th", head, name.slice(kind.length + 1), {scope: "col"});
      run.concepts.forEach((concept, i) => {
        const row = make("tr", rows);
        make("th", row, concept, {scope: "row"});
        for (const name of names) {
          const label = concept + ", " + name.replace(".", " ");
          const button = make("button", make("td", row), null, {type: "button", title: label, "aria-label": "show " + label});
          button.onclick = () => {
            this.which.value = name;
            this.which.onchange();
            this.root.scrollIntoView({behavior: "smooth"});
          };
          this.small.push([make("canvas", button), name, i]);
        }
      });
    }

    paint(canvas, name, concept) {
      const maps = this.run.mapsOf(name), table = this.tables[this.colors.value] || Object.values(this.tables)[0];
      const [low, high] = this.run.rangeOf(name, this.scaling.value === "shared" ? null : concept);
      const scale = high > low ? 256 / (high - low) : 0;
      paintPixels(canvas, this.run.width, this.run.height, i => {
        const v = maps[concept][i], level = Number.isFinite(v) ? Math.floor((v - low) * scale) : 0;
        return [...table[Math.max(0, Math.min(255, level))], 255];
      }, this.smooth.checked);
    }

    repaint() {
      const name = this.which.value, {width, height} = this.run;
      for (const {canvas, range, concept} of this.cards) {
        if (concept < 0) {
          paintPixels(canvas, width, height, i => {
            const owner = this.run.owner(name, i);
            return owner < 0 ? [0, 0, 0, 0] : [...conceptPixel(owner), 255];
          }, false);
        } else {
          this.paint(canvas, name, concept);
          range.textContent = this.run.rangeOf(name, concept).map(number).join(" to ");
        }
      }
      for (const [canvas, kept, i] of this.small) this.paint(canvas, kept, i);
    }

    table(details) {
      make("summary", details, "Run");
      const body = make("tbody", make("table", make("div", details, null, {class: "scroll"})));
      const row = (path, value) => {
        if (value !== null && typeof value === "object" && !(Array.isArray(value) && value.every(v => Object(v) !== v))) {
          for (const key in value) row(path ? path + "." + key : key, value[key]);
          return;
        }
        const line = make("tr", body);
        make("th", line, path, {scope: "row"});
        make("td", line, Array.isArray(value) ? value.join(", ") : String(value));
      };
      row("", this.run.metadata);
    }
  }

  return {make, number, readSafetensors, bytesOfBase64, conceptColor, colorTables, rangeOf, paintPixels, Run, View};
})();
