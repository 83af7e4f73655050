// The report's markup, style and script. All text comes from the data, as text and never as markup.

extension Report {
  static let body = """
    <header>
    <h1 id="title"></h1>
    <div class="controls">
    <label>Maps <select id="which"></select></label>
    <label>Colours <select id="colors"></select></label>
    <label>Scale <select id="scaling">
    <option value="perConcept">each concept</option><option value="shared">all concepts</option>
    </select></label>
    <label>Opacity of all <input type="range" id="opacity" min="0" max="1" step="0.01" value="0.55"></label>
    <label><input type="checkbox" id="smooth" checked> smooth</label>
    </div>
    <div class="controls" id="time" hidden>
    <button id="play" type="button">Play</button>
    <input type="range" id="frame" min="0" value="0" aria-label="frame"><output id="place" for="frame"></output>
    </div>
    <div id="values" aria-live="off"></div>
    </header>
    <main>
    <section id="cards"></section>
    <section id="kept"></section>
    <section><h2>Run</h2><table id="metadata"></table></section>
    </main>
    """

  static let style = """
    :root { color-scheme: dark; font: 15px/1.45 system-ui, sans-serif; background: #121216; color: #e8e8ec; }
    body { margin: 0; }
    header { position: sticky; top: 0; z-index: 1; padding: 12px 20px; background: #1b1b21;
      border-bottom: 1px solid #333; }
    h1 { font-size: 20px; margin: 0 0 8px; overflow-wrap: anywhere; }
    h2 { font-size: 17px; margin: 28px 0 10px; }
    main { padding: 16px 20px 40px; }
    .controls { display: flex; flex-wrap: wrap; gap: 8px 18px; align-items: center; }
    #time { margin-top: 8px; } #time[hidden] { display: none; }
    #time button { width: 5em; } #frame { flex: 1; max-width: 640px; }
    label { display: inline-flex; gap: 6px; align-items: center; }
    #values { min-height: 24px; margin-top: 8px; display: flex; flex-wrap: wrap; gap: 2px 16px; color: #b8b8c0;
      font-variant-numeric: tabular-nums; }
    #values .first { color: #fff; font-weight: 600; }
    #cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(280px, 1fr)); gap: 18px; }
    figure { margin: 0; }
    figcaption { margin-top: 6px; display: flex; gap: 10px; justify-content: space-between; align-items: center; }
    figcaption span { overflow-wrap: anywhere; }
    .stage { position: relative; line-height: 0; cursor: crosshair; }
    .stage img, .stage canvas { width: 100%; }
    .stage canvas { position: absolute; left: 0; top: 0; height: 100%; }
    .mark { position: absolute; border: 1px solid #fff; box-shadow: 0 0 0 1px #000; box-sizing: border-box;
      pointer-events: none; display: none; }
    .scroll { overflow-x: auto; }
    #kept table { border-spacing: 4px; } #kept canvas { width: 72px; display: block; cursor: pointer; }
    th { font-weight: 500; text-align: left; color: #b8b8c0; padding-right: 10px; }
    #metadata td, #metadata th { padding: 3px 14px 3px 0; vertical-align: top; border-bottom: 1px solid #2a2a30;
      overflow-wrap: anywhere; }
    """

  static let script = """
    "use strict";
    const data = JSON.parse(document.getElementById("data").textContent);
    const by = id => document.getElementById(id);
    const make = (tag, parent, text) => {
      const element = document.createElement(tag);
      if (text !== undefined) element.textContent = text;
      parent.append(element);
      return element;
    };
    const tables = {};
    for (const name in data.colors) {
      const hex = data.colors[name];
      tables[name] = Array.from({length: 256}, (_, i) =>
        hex ? [0, 2, 4].map(k => parseInt(hex.substr(i * 6 + k, 2), 16)) : [i, i, i]);
      make("option", by("colors"), name).value = name;
    }
    for (const name of data.names) make("option", by("which"), name.replace(".", " ")).value = name;
    by("colors").value = data.colorMap;
    by("scaling").value = data.scaling;
    by("title").textContent = data.title;
    document.title = data.title;

    const rangeOf = lists => {
      let low = Infinity, high = -Infinity;
      for (const list of lists) for (const v of list) if (v !== null) {
        low = Math.min(low, v); high = Math.max(high, v);
      }
      return low <= high ? [low, high] : [0, 0];
    };
    // Only the average has a map per frame; the others are means over the frames.
    let frame = 0;
    const mapsOf = name => data.maps[name][Math.min(data.mapFrames[frame], data.maps[name].length - 1)];
    const rangeOfMap = (name, concept) => rangeOf(concept === null ? data.maps[name].flat()
      : data.maps[name].map(maps => maps[concept]));
    function paint(canvas, name, concept) {
      const maps = mapsOf(name), table = tables[by("colors").value];
      const [low, high] = rangeOfMap(name, by("scaling").value === "shared" ? null : concept);
      const scale = high > low ? 256 / (high - low) : 0;
      canvas.width = data.width; canvas.height = data.height;
      const context = canvas.getContext("2d"), pixels = context.createImageData(data.width, data.height);
      maps[concept].forEach((v, i) => {
        const entry = table[v === null ? 0 : Math.max(0, Math.min(255, Math.floor((v - low) * scale)))];
        pixels.data.set([entry[0], entry[1], entry[2], 255], i * 4);
      });
      context.putImageData(pixels, 0, 0);
      canvas.style.imageRendering = by("smooth").checked ? "auto" : "pixelated";
    }

    const cards = [], pictures = [], marks = [], sliders = [], small = [], ranges = [];
    function card(caption, concept) {
      const figure = make("figure", by("cards")), stage = make("div", figure);
      stage.className = "stage";
      const image = make("img", stage);
      image.src = data.pictures[0]; image.alt = caption;
      pictures.push(image);
      const captionLine = make("figcaption", figure);
      make("span", captionLine, caption);
      if (concept !== null) {
        const canvas = make("canvas", stage);
        ranges[concept] = make("span", captionLine);
        const slider = make("input", captionLine);
        Object.assign(slider, {type: "range", min: 0, max: 1, step: 0.01});
        slider.setAttribute("aria-label", "opacity of " + caption);
        slider.oninput = () => { canvas.style.opacity = slider.value; };
        cards[concept] = canvas; sliders.push(slider);
      }
      const mark = make("div", stage);
      mark.className = "mark"; marks.push(mark);
      stage.onmousemove = event => {
        const box = stage.getBoundingClientRect();
        const x = Math.floor((event.clientX - box.left) / box.width * data.width);
        const y = Math.floor((event.clientY - box.top) / box.height * data.height);
        show(Math.max(0, Math.min(data.width - 1, x)), Math.max(0, Math.min(data.height - 1, y)));
      };
      stage.onmouseleave = () => { by("values").textContent = hint; for (const m of marks) m.style.display = "none"; };
    }
    const hint = "Move over a picture to see the values of all concepts there.";
    function show(x, y) {
      const values = mapsOf(by("which").value).map(map => map[y * data.width + x]);
      const highest = Math.max(...values.filter(v => v !== null));
      by("values").textContent = "";
      make("span", by("values"), "row " + y + ", column " + x);
      data.concepts.forEach((concept, i) => {
        const span = make("span", by("values"), concept + " " + (values[i] === null ? "no number" : values[i]));
        if (values[i] === highest) span.className = "first";
      });
      for (const mark of marks) Object.assign(mark.style, {display: "block",
        left: 100 * x / data.width + "%", top: 100 * y / data.height + "%",
        width: 100 / data.width + "%", height: 100 / data.height + "%"});
    }
    function keptTable(kind, heading) {
      const names = data.names.filter(name => name.startsWith(kind + "."));
      if (!names.length) return;
      make("h2", by("kept"), heading);
      const scroll = make("div", by("kept")); scroll.className = "scroll";
      const table = make("table", scroll), head = make("tr", table);
      make("th", head);
      for (const name of names) make("th", head, name.slice(kind.length + 1));
      data.concepts.forEach((concept, i) => {
        const row = make("tr", table);
        make("th", row, concept);
        for (const name of names) {
          const canvas = make("canvas", make("td", row));
          canvas.title = concept + ", " + name.replace(".", " ");
          canvas.onclick = () => { by("which").value = name; repaint(); scrollTo({top: 0, behavior: "smooth"}); };
          small.push([canvas, name, i]);
        }
      });
    }
    function repaint() {
      const name = by("which").value;
      data.concepts.forEach((_, i) => {
        paint(cards[i], name, i);
        ranges[i].textContent = rangeOfMap(name, i).join(" to ");
      });
      for (const [canvas, kept, i] of small) paint(canvas, kept, i);
    }
    function seek(to) {
      const before = data.mapFrames[frame];
      frame = (to + data.pictures.length) % data.pictures.length;
      by("frame").value = frame;
      by("place").textContent = "frame " + frame + " of " + data.pictures.length;
      for (const picture of pictures) picture.src = data.pictures[frame];
      if (data.mapFrames[frame] !== before) data.concepts.forEach((_, i) => paint(cards[i], by("which").value, i));
    }
    let timer = null;
    function play() {
      if (timer !== null) clearInterval(timer);
      timer = timer === null ? setInterval(() => seek(frame + 1), 1000 / data.framesPerSecond) : null;
      by("play").textContent = timer === null ? "Play" : "Pause";
    }
    function row(path, value) {
      if (value !== null && typeof value === "object" && !(Array.isArray(value) && value.every(v => Object(v) !== v))) {
        for (const key in value) row(path ? path + "." + key : key, value[key]);
        return;
      }
      const line = make("tr", by("metadata"));
      make("th", line, path);
      make("td", line, Array.isArray(value) ? value.join(", ") : String(value));
    }

    card("picture", null);
    data.concepts.forEach(card);
    keptTable("layer", "By layer"); keptTable("step", "By step"); keptTable("head", "By head");
    row("", data.metadata);
    by("values").textContent = hint;
    by("opacity").oninput = () => { for (const s of sliders) { s.value = by("opacity").value; s.oninput(); } };
    for (const id of ["which", "colors", "scaling", "smooth"]) by(id).onchange = repaint;
    by("opacity").oninput();
    repaint();
    if (data.pictures.length > 1) {
      by("time").hidden = false;
      by("frame").max = data.pictures.length - 1;
      by("frame").oninput = () => seek(Number(by("frame").value));
      by("play").onclick = play;
      seek(0);
    }
    """
}
