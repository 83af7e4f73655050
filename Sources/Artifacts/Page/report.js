// Starts the page of one run, which has its files inside.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  document.getElementById("title").textContent = data.metadata.title;
  const tensors = Viewer.readSafetensors(Viewer.bytesOfBase64(data.maps));
  const run = new Viewer.Run(data.metadata, tensors, data.pictures);
  new Viewer.View(document.getElementById("run"), run, data.colors);
})();
