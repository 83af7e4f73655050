// The explorer: asks for runs, hears how they go, shows what came of them. The address of a run is that of its folder.
"use strict";

(() => {
  const {make, readSafetensors, paintPixels, rangeOf, colorTables, Run, View} = Viewer;
  const by = id => document.getElementById(id);
  const records = new Map();
  let about, shown = null, view = null, run = null, concepts = [], interventions = [], upload = null, origin = null, token = 0;

  async function ask(address, options = {}) {
    const response = await fetch(address, options);
    if (response.ok) return response;
    let reason = response.status + " " + response.statusText;
    try { reason = (await response.json()).error || reason; } catch { /* no JSON: the status says it */ }
    throw new Error(reason);
  }
  const json = async (address, options) => (await ask(address, options)).json();
  const complain = text => { by("complaint").textContent = text; };
  const idOf = path => (/^\/runs\/(\d{1,9})\/?$/.exec(path) || [])[1] || null;

  // The form.

  function drawChips() {
    by("chips").textContent = "";
    concepts.forEach((concept, i) => {
      const item = make("li", by("chips"), concept);
      const button = make("button", item, "×", {type: "button", "aria-label": "remove " + concept});
      button.onclick = () => { concepts.splice(i, 1); drawChips(); by("concept").focus(); };
    });
  }

  function addConcepts() {
    for (const text of by("concept").value.split(",").map(text => text.trim()))
      if (text && !concepts.includes(text)) concepts.push(text);
    by("concept").value = "";
    drawChips();
  }

  const describe = change => change.kind === "patch" ? "patch " + change.sites + " from run " + change.run
    : change.kind === "steer" ? "add " + change.label + " × " + change.strength + " at " + change.sites
    : change.kind === "ablate" ? "heads off: " + change.text : "cut: " + change.text;

  function drawInterventions() {
    by("interventions").textContent = "";
    interventions.forEach((change, i) => {
      const item = make("li", by("interventions"), describe(change));
      const button = make("button", item, "×", {type: "button", "aria-label": "remove " + describe(change)});
      button.onclick = () => { interventions.splice(i, 1); drawInterventions(); };
    });
  }

  function chooseIntervention() {
    const kind = by("intervention").value, family = about.textFamily;
    for (const label of document.querySelectorAll("[data-for]")) label.hidden = label.dataset.for !== kind;
    by("place").value = {ablate: family + ".0.image", cut: family + ".*", patch: family + ".0.image.value",
      steer: family + ".0.image.residualOutput"}[kind];
  }

  async function intervene() {
    const kind = by("intervention").value, place = by("place").value.trim();
    if (kind === "ablate") interventions.push({kind, text: place + "=" + by("heads").value.trim()});
    if (kind === "cut") interventions.push({kind, text: place + "=" + by("query").value + ":" + by("key").value});
    if (kind === "patch") interventions.push({kind, sites: place, run: by("source").value.trim()});
    if (kind === "steer") {
      const file = by("vector").files[0];
      if (!file) throw new Error("choose the file of a vector first");
      const {name} = await json("/api/uploads", {method: "POST", headers: {"Content-Type": "application/octet-stream"}, body: file});
      interventions.push({kind, sites: place, vector: name, label: file.name, strength: Number(by("strength").value)});
    }
    drawInterventions();
  }

  function number(id, what) {
    const text = by(id).value.trim();
    if (text === "") return undefined;
    const value = Number(text);
    if (!Number.isFinite(value)) throw new Error(what + " '" + text + "' is no number");
    return value;
  }

  const drawOrigin = () => { by("kept-start").hidden = !origin; };

  // The name under which a chosen picture is kept, or that of one chosen before.
  async function sent(input, before) {
    const file = input.files[0], most = about.limits.uploadBytes;
    if (!file) return before;
    if (file.size > most) throw new Error("the picture has " + file.size + " bytes, at most " + most + " are taken");
    const headers = {"Content-Type": file.type || "application/octet-stream"};
    return (await json("/api/uploads", {method: "POST", headers, body: file})).name;
  }

  async function request() {
    const kind = document.querySelector("[name=kind]:checked").value, text = id => by(id).value.trim() || undefined;
    addConcepts();
    const asked = {
      kind, prompt: text("prompt"), concepts: concepts.length ? concepts : undefined, seed: number("seed", "seed"),
      width: number("width", "width"), height: number("height", "height"), layers: text("layers"),
      method: by("method").value || undefined, space: by("space").value || undefined, saveSites: text("save-sites"),
    };
    if (kind === "generate") {
      origin = await sent(by("start"), origin);
      Object.assign(asked, {steps: number("steps", "steps"), timesteps: text("timesteps"), image: origin || undefined,
        frames: number("frames", "frames"),
        strength: origin && about.image_use === "noised" ? number("replaced", "share") : undefined});
    } else {
      upload = await sent(by("upload"), upload);
      Object.assign(asked, {picture: upload || undefined, noise: number("noise", "noise"), samples: number("samples", "draws of noise")});
    }
    const of = kind => interventions.filter(change => change.kind === kind);
    if (of("ablate").length) asked.ablate = of("ablate").map(change => change.text);
    if (of("cut").length) asked.cut = of("cut").map(change => change.text);
    if (of("patch").length) asked.patch = of("patch").map(({sites, run}) => ({sites, run}));
    if (of("steer").length) asked.steer = of("steer").map(({sites, vector, strength}) => ({sites, vector, strength}));
    return asked;
  }

  async function submit(event) {
    event.preventDefault();
    complain("");
    by("go").disabled = true;
    try {
      const record = await json("/api/runs", {method: "POST", headers: {"Content-Type": "application/json"},
        body: JSON.stringify(await request())});
      heard(record);
      open(record.id, true);
    } catch (error) { complain(error.message); } finally { by("go").disabled = false; }
  }

  // Takes the settings of a run into the form.
  async function take() {
    const asked = await json("/runs/" + shown + "/request.json").catch(() => null);
    if (!asked) { complain("run " + shown + " was not made here: its settings are in the table below it"); return; }
    for (const radio of document.querySelectorAll("[name=kind]")) radio.checked = radio.value === asked.kind;
    for (const id of ["prompt", "seed", "steps", "width", "height", "frames", "layers", "timesteps", "noise", "samples"]) by(id).value = asked[id] ?? "";
    by("method").value = asked.method ?? about.methods[0];
    by("space").value = asked.space ?? "";
    by("save-sites").value = asked.saveSites ?? "";
    concepts = asked.concepts ?? (run ? [...run.concepts] : []);
    upload = asked.picture ?? null;
    by("upload").value = "";
    origin = asked.image ?? null;
    by("start").value = "";
    by("replaced").value = asked.strength ?? "";
    drawOrigin();
    interventions = [...(asked.ablate ?? []).map(text => ({kind: "ablate", text})), ...(asked.cut ?? []).map(text => ({kind: "cut", text})),
      ...(asked.patch ?? []).map(patch => ({kind: "patch", ...patch})),
      ...(asked.steer ?? []).map(steer => ({kind: "steer", label: steer.vector, strength: 1, ...steer}))];
    drawChips(); drawInterventions();
    by("prompt").focus();
  }

  // Runs.

  function heard(record) {
    // Answers and news may arrive in another order than they were sent.
    if (records.has(record.id) && records.get(record.id).revision > record.revision) return;
    records.set(record.id, record);
    drawGallery(record);
    if (record.id === shown) drawState(record);
  }

  function drawGallery(record) {
    let item = by("gallery").querySelector("[data-id='" + record.id + "']");
    if (!item) {
      item = make("li", null);
      item.dataset.id = record.id;
      const after = [...by("gallery").children].find(other => Number(other.dataset.id) < Number(record.id));
      by("gallery").insertBefore(item, after || null);
    }
    if (item.dataset.state === record.state && record.state !== "running") return;
    const isNew = item.dataset.state !== record.state;
    item.dataset.state = record.state;
    if (isNew) {
      item.textContent = "";
      if (record.state === "done") {
        const image = make("img", item, null, {loading: "lazy", alt: ""});
        image.onerror = () => { image.onerror = null; image.src = "/runs/" + record.id + "/frames/0000.png"; };
        image.src = "/runs/" + record.id + "/image.png";
      } else make("span", item, null, {class: "blank"});
      const text = make("span", item), link = make("a", text, record.title || "(no prompt)", {href: "/runs/" + record.id + "/"});
      link.onclick = event => { if (!event.ctrlKey && !event.metaKey && !event.shiftKey) { event.preventDefault(); open(record.id, true); } };
      if (record.id === shown) link.setAttribute("aria-current", "page");
      make("div", text, "", {class: "quiet"});
      if (record.state === "queued" || record.state === "running") {
        const cancel = make("button", item, "Cancel", {type: "button", "aria-label": "cancel run " + record.id});
        cancel.onclick = () => stop(record.id);
      }
    }
    item.querySelector(".quiet").textContent = "run " + record.id + ", " + record.kind + ", " + record.state
      + (record.state === "running" && record.total ? " " + record.done + "/" + record.total : "");
  }

  async function stop(id) {
    try { heard(await json("/api/runs/" + id, {method: "DELETE"})); } catch (error) { complain(error.message); }
  }

  function drawState(record) {
    const state = by("state"), isOpen = record.state === "queued" || record.state === "running";
    state.className = record.state;
    if (record.state === "done" && run) { state.textContent = ""; by("live").hidden = true; return; }
    const ahead = [...records.values()].filter(other => ["queued", "running"].includes(other.state) && Number(other.id) < Number(record.id)).length;
    const text = record.state === "queued" ? "run " + record.id + " waits; " + ahead + " before it"
      : record.state === "running" ? "run " + record.id + ": " + (record.message || "starting") + (record.total ? " " + record.done + " of " + record.total : "")
      : record.state === "failed" ? "run " + record.id + " failed: " + record.message
      : record.state === "cancelled" ? "run " + record.id + " was cancelled" : "";
    if (!isOpen) state.textContent = text;
    else {
      if (!state.querySelector("progress")) {
        state.textContent = "";
        make("span", state);
        make("progress", state, null, {"aria-label": "steps done"});
        make("button", state, "Cancel", {type: "button", id: "cancel"}).onclick = () => stop(shown);
      }
      state.querySelector("span").textContent = text;
      const bar = state.querySelector("progress");
      if (record.total) { bar.max = record.total; bar.value = record.done; }
    }
    if (record.state === "running" && record.previews) preview(record);
    if (record.state === "failed" || record.state === "cancelled") by("live").hidden = true;
    if (record.state === "done" && !run) load(record.id);
  }

  // The picture and the maps on their way.
  let fetching = false;
  async function preview(record) {
    if (fetching) return;
    fetching = true;
    try {
      const base = "/api/runs/" + record.id + "/";
      const [picture, maps] = await Promise.all([ask(base + "preview.png"), ask(base + "preview.safetensors")]);
      const blob = await picture.blob(), tensors = readSafetensors(await maps.arrayBuffer());
      const average = tensors.get("average"), names = JSON.parse(tensors.metadata.concepts);
      if (record.id !== shown || run) return;
      const live = by("live");
      live.hidden = false;
      const figure = i => live.children[i] || make("figure", live);
      const first = figure(0);
      if (!first.firstChild) { make("img", first).alt = "the picture so far"; make("figcaption", first, "so far"); }
      URL.revokeObjectURL(first.firstChild.src);
      first.firstChild.src = URL.createObjectURL(blob);
      const [count, height, width] = average.shape, table = colorTables(about.colors).viridis;
      for (let c = 0; c < count; c++) {
        const other = figure(c + 1);
        if (!other.firstChild) { make("canvas", other); make("figcaption", other, ""); }
        const map = average.values.subarray(c * width * height, (c + 1) * width * height), [low, high] = rangeOf([map]);
        other.lastChild.textContent = names[c];
        paintPixels(other.firstChild, width, height, i =>
          [...table[Math.max(0, Math.min(255, Math.floor((map[i] - low) * (high > low ? 256 / (high - low) : 0))))], 255], true);
      }
    } catch { /* the run is over already */ } finally { fetching = false; }
  }

  const read = async id => {
    const base = "/runs/" + id + "/";
    const [metadata, maps] = await Promise.all([json(base + "metadata.json"), ask(base + "maps.safetensors")]);
    const frames = metadata.files.filter(name => name.startsWith("frames/"));
    return new Run(metadata, readSafetensors(await maps.arrayBuffer()), (frames.length ? frames : ["image.png"]).map(name => base + name));
  };

  async function load(id) {
    const mine = ++token;
    try {
      const found = await read(id);
      if (mine !== token || id !== shown) return;
      run = found;
      by("live").hidden = true;
      by("live").textContent = "";
      view = new View(by("view"), run, about.colors);
      by("view").dataset.run = id;
      by("actions").hidden = false;
      by("files").href = "/runs/" + id + "/report.html";
      const other = by("other");
      other.textContent = "";
      make("option", other, "nothing", {value: ""});
      for (const record of [...records.values()].reverse())
        if (record.state === "done" && record.id !== id) make("option", other, record.id + " " + record.title.slice(0, 40), {value: record.id});
      other.value = new URLSearchParams(location.search).get("with") || "";
      if (other.value) compare();
      drawState(records.get(id) || {id, state: "done"});
    } catch (error) {
      if (mine === token) { by("state").className = "failed"; by("state").textContent = error.message; }
    }
  }

  async function compare() {
    const id = by("other").value, mine = ++token;
    history.replaceState(null, "", "/runs/" + shown + "/" + (id ? "?with=" + id : ""));
    by("comparison")?.remove();
    if (!id) return;
    try {
      const second = await read(id);
      if (mine !== token) return;
      const root = make("section", null, null, {id: "comparison", "aria-label": "Comparison"});
      by("view").before(root);
      await Comparison.show(root, run, second, [shown, id], about.colors);
    } catch (error) { complain(error.message); }
  }

  function open(id, isStep) {
    if (isStep) history.pushState(null, "", id ? "/runs/" + id + "/" : "/");
    shown = id; run = null; view = null; token++;
    by("view").textContent = ""; by("live").textContent = ""; by("live").hidden = true; by("actions").hidden = true;
    by("state").textContent = ""; by("comparison")?.remove();
    delete by("view").dataset.run;
    for (const link of document.querySelectorAll("#gallery a")) {
      if (link.closest("li").dataset.id === id) link.setAttribute("aria-current", "page"); else link.removeAttribute("aria-current");
    }
    if (!id) return;
    const record = records.get(id);
    if (record) drawState(record); else load(id);
  }

  // Copying.

  const shell = text => /^[A-Za-z0-9_\-.,:=/@+]+$/.test(text) ? text : "'" + text.replaceAll("'", "'\\''") + "'";
  const swift = text => JSON.stringify(text).replace(/\\u([0-9a-f]{4})/g, "\\u{$1}").replaceAll("\\b", "\\u{8}").replaceAll("\\f", "\\u{c}");

  const commandLine = () => ["concept-attention", ...run.metadata.run.arguments].map(shell).join(" ");

  function swiftCode() {
    const {run: made} = run.metadata, {plan, maps, model} = made, list = made.concepts.map(swift).join(", ");
    const lines = ["import ConceptAttention", "import EmbeddedModels", "import Models", ""];
    if (made.command === "segment" || made.starting_image) lines.splice(2, 0, "import Formats");
    if (made.interventions.length) lines.push("// Without the interventions: " + made.interventions.map(text => text.replace(/\s+/g, " ")).join("; "));
    lines.push("let pipeline = try openPipeline(" + swift(model.name) + ")");
    lines.push("var options = ConceptAttentionOptions(" + (maps.layers ? "layers: [" + maps.layers.join(", ") + "]" : "")
      + (maps.timesteps ? (maps.layers ? ", " : "") + "steps: [" + maps.timesteps.join(", ") + "]" : "") + ")");
    lines.push("options.spaces = [" + maps.spaces.map(name => "." + name).join(", ") + "]");
    lines.push("options.keeping = [.layers, .steps, .heads]");
    if (maps.method === "concept-attention") lines.push("let maps = try pipeline.conceptAttention([" + list + "], options: options)");
    else lines.push("let maps = try MapMethod(named: " + swift(maps.method) + ").make(", "  MapRequest(pipeline, concepts: [" + list + "], prompt: "
      + swift(made.prompt) + ", options: options))");
    if (made.command === "generate") {
      lines.push("var request = GenerationRequest(" + swift(made.prompt) + ")", "request.seeds = [" + made.seed + "]",
        "request.width = " + plan.width, "request.height = " + plan.height, "request.steps = " + plan.steps);
      if (made.starting_image) lines.push("request.startingImage = StartingImage(try Image.read(path: " + swift(made.starting_image) + ")"
        + (about.image_use === "noised" ? ", strength: " + plan.strength : "") + ")");
      lines.push("let result = try pipeline.generate(request, processors: [maps])", "let picture = result.image()");
    } else {
      lines.push("var request = InspectionRequest(image: try Image.read(path: " + swift(made.picture) + "))",
        "request.prompt = " + swift(made.prompt), "request.seed = " + made.seed, "request.width = " + plan.width,
        "request.height = " + plan.height, "request.samples = " + plan.samples,
        "request.noise = .levels([" + plan.noise_levels.join(", ") + "])", "try pipeline.inspect(request, processors: [maps])");
    }
    lines.push("let saliency = try maps.maps()", "print(saliency.average)", "");
    return lines.join("\n");
  }

  async function copy(button, text) {
    try { await navigator.clipboard.writeText(text); } catch {
      const area = make("textarea", document.body, null, {readonly: ""});
      area.value = text; area.select();
      document.execCommand("copy");
      area.remove();
    }
    button.dataset.copied = text;
    const before = button.dataset.label || button.textContent;
    button.dataset.label = before;
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = before; }, 1500);
  }

  // The beginning.

  async function refresh(isNewServer) {
    const all = await json("/api/runs");
    if (isNewServer) {
      // A run that vanished while nobody listened is over; revisions may count from 0 again.
      for (const [id, record] of records) if (!all.some(other => other.id === id) && ["queued", "running"].includes(record.state)) heard({...record, state: "cancelled"});
      records.clear();
    }
    for (const record of all) heard(record);
  }

  async function start() {
    const {model, limits, colors} = await json("/api/model");
    about = {...model, limits, colors, textFamily: model.text_family};
    by("model").textContent = model.name + ", " + model.family + ": " + model.blocks.map(b => b.count + " " + b.family + " blocks").join(", ");
    for (const [id, value] of [["steps", model.steps], ["width", model.width], ["height", model.height], ["frames", model.frames ?? ""], ["noise", model.noise]])
      by(id).placeholder = value;
    by("layers").placeholder = model.layers ? model.layers.join(",") : "all";
    for (const name of model.methods) make("option", by("method"), name, {value: name});
    make("option", by("space"), "output", {value: ""});
    for (const name of model.spaces.filter(name => name !== "output")) make("option", by("space"), name, {value: name});
    const streams = [...new Set(model.blocks.flatMap(block => block.streams))];
    for (const name of streams.includes("image") ? ["image", ...streams.filter(s => s !== "image")] : streams) make("option", by("query"), name);
    for (const name of ["text", ...streams.filter(s => s !== "text")]) make("option", by("key"), name);
    by("places").textContent = "Places are named block.layer.stream.point, such as " + about.textFamily + ".0.image.value; * stands for "
      + "anything, 0-2 for a range. Run with and without, and compare the two.";
    by("frames-row").hidden = !model.frames;
    by("replaced-row").hidden = about.image_use !== "noised";
    if (about.image_use === "firstFrame") by("start-label").textContent = "First frame of the video (PNG or JPEG)";
    chooseIntervention();
    await refresh();
    const news = new EventSource("/api/events");
    news.addEventListener("run", event => heard(JSON.parse(event.data)));
    let isFirst = true;
    news.onopen = () => { if (!isFirst) refresh(true).catch(() => {}); isFirst = false; };
    open(idOf(location.pathname), false);
    document.documentElement.dataset.ready = "yes";
  }

  by("ask").onsubmit = submit;
  by("add").onclick = addConcepts;
  by("concept").onkeydown = event => { if (event.key === "Enter") { event.preventDefault(); addConcepts(); } };
  by("prompt").onkeydown = event => { if (event.key === "Enter" && !event.shiftKey) { event.preventDefault(); by("ask").requestSubmit(); } };
  by("start").onchange = () => { origin = null; drawOrigin(); };
  by("drop-start").onclick = () => { origin = null; by("start").value = ""; drawOrigin(); by("start").focus(); };
  by("intervention").onchange = chooseIntervention;
  by("intervene").onclick = () => intervene().catch(error => complain(error.message));
  by("take").onclick = () => take();
  by("copy-command").onclick = event => copy(event.currentTarget, commandLine());
  by("copy-swift").onclick = event => copy(event.currentTarget, swiftCode());
  by("other").onchange = compare;
  onpopstate = () => open(idOf(location.pathname), false);
  start().catch(error => complain(error.message));
})();
