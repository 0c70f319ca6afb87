// What is around the picture: title, buttons, start views, help, progress.

class Chrome {
  constructor(app, settings) {
    this.app = app;
    this.settings = settings;
    this.camerasShown = false;
    const button = (id, action) => byId(id).addEventListener("click", () => guarded(action));
    button("reset", () => app.reset());
    button("help-button", () => this.showHelp());
    button("full", () => this.fullScreen());
    button("theme", () => this.toggleTheme());
    button("cameras", () => app.toggleCameras());
    byId("full").hidden = !document.documentElement.requestFullscreen;
    byId("cameras").hidden = !settings.views.length;
    this.strip();
    const help = byId("help");
    help.addEventListener("click", event => event.target === help && help.close());
  }

  strip() {
    const strip = byId("strip");
    this.thumbs = this.settings.views.map((view, index) => {
      if (!view.thumb) return null;
      const button = document.createElement("button"), image = new Image();
      image.src = view.thumb;
      image.alt = "";
      button.title = view.name;
      button.setAttribute("aria-label", `Go to where ${view.name} was taken`);
      button.append(image);
      if (index < 9) button.append(Object.assign(document.createElement("kbd"), { textContent: index + 1 }));
      button.addEventListener("click", () => guarded(() => this.app.goTo(index)));
      strip.append(button);
      return button;
    });
    strip.hidden = !this.thumbs.some(thumb => thumb);
  }

  mark(index) {
    this.thumbs.forEach((thumb, i) => thumb && thumb.classList.toggle("here", i === index));
    if (this.thumbs[index]) this.thumbs[index].scrollIntoView({ block: "nearest", inline: "center", behavior: "smooth" });
  }

  progress(share) {
    byId("bar").style.width = `${Math.round(100 * share)}%`;
  }

  loaded(scene) {
    byId("loading").hidden = true;
    byId("facts").textContent = `${scene.count.toLocaleString("en")} Gaussians`;
    document.body.classList.add("loaded");
    const hint = byId("hint");
    hint.textContent = matchMedia("(pointer: coarse)").matches ? "Drag to turn · two fingers to move and zoom"
      : "Drag to turn · scroll to zoom · ? for help";
    hint.classList.add("shown");
    setTimeout(() => hint.classList.remove("shown"), 6000);
  }

  frame(scale, pace) {
    byId("view").dataset.scale = scale.toFixed(2);
    byId("view").dataset.pace = Math.round(pace || 0);
  }

  // Pyramids of the capture's cameras.
  drawCameras(renderer) {
    const points = [], { views, home } = this.settings, size = 0.04 * (home.spread || this.app.pose.distance);
    for (const view of views) {
      const { R, t, fx, fy, cx, cy, width, height } = exactCamera(view.viewmat, view.K, view.width, view.height);
      const eye = eyeOf({ R, t });
      const corners = [[0, 0], [width, 0], [width, height], [0, height]].map(([x, y]) => {
        const ray = [(x - cx) / fx * size, (y - cy) / fy * size, size];
        return add(eye, [0, 1, 2].map(i => dot([R[i], R[3 + i], R[6 + i]], ray)));
      });
      corners.forEach((corner, i) => points.push(...eye, ...corner, ...corner, ...corners[(i + 1) % 4]));
    }
    if (points.length) renderer.setLines(points);
  }

  toggleCameras() {
    this.camerasShown = !this.camerasShown && this.settings.views.length > 0;
    byId("cameras").setAttribute("aria-pressed", this.camerasShown);
  }

  toggleTheme() {
    const root = document.documentElement, dark = getComputedStyle(root).getPropertyValue("--is-dark").trim() === "1";
    root.dataset.theme = dark ? "light" : "dark";
  }

  showHelp() {
    const help = byId("help");
    if (!help.open) help.showModal();
  }

  fullScreen() {
    const done = document.fullscreenElement ? document.exitFullscreen() : document.documentElement.requestFullscreen();
    if (done) done.catch(() => {});
  }
}
