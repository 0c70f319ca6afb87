// The page: loads the scene, draws what the pose sees, and offers itself to programs as window.splatViewer.

const byId = id => document.getElementById(id);
const settings = JSON.parse(byId("settings").textContent);

class App {
  constructor() {
    this.canvas = byId("view");
    this.renderer = new Renderer(this.canvas, settings.background, settings.near);
    this.up = settings.up;
    this.pose = Pose.ofView(settings.home, settings.home.distance || settings.home.spread || 1);
    this.home = this.pose.copy();
    this.scale = 0.6;
    this.frames = 0;
    this.sorting = { busy: false, wanted: null, current: null, waiting: [] };
    this.picks = new Map();
    this.exact = null;
    this.ready = new Promise((resolve, reject) => Object.assign(this, { resolve, reject }));
    this.ready.catch(() => {});
    if (!this.renderer.gl) throw new Unsupported("This browser cannot draw 3D scenes: it has no WebGL2, or it is switched off.");
    this.canvas.addEventListener("webglcontextlost", event => event.preventDefault());
    this.canvas.addEventListener("webglcontextrestored", () => guarded(() => this.restore()));
    this.controls = new Controls(this.canvas, this);
    this.chrome = new Chrome(this, settings);
    new ResizeObserver(() => this.changed()).observe(this.canvas);
    this.start();
  }

  start() {
    const source = byId("scene"), text = source.textContent;
    this.port = openPort(message => guarded(() => this.receive(message)), { what: "decode", text, length: settings.bytes });
  }

  receive(message) {
    if (message.progress) this.chrome.progress(message.progress);
    if (message.failed) throw message.damaged ? new Damaged(message.failed) : new Error(message.failed);
    if (message.scene) {
      byId("scene").remove();
      this.scene = message.scene;
      this.restore();
      this.sorting.buffer = new ArrayBuffer(4 * 2048 * this.scene.rows);
      this.started = true;
      this.pickTarget(0.5, 0.5, this.pose).then(distance => {
        if (!settings.home.distance && distance) this.home.distance = this.pose.distance = distance;
      });
      this.settled(this.camera(1)).then(() => {
        this.chrome.loaded(this.scene);
        this.resolve();
      });
      this.changed();
    }
    if (message.sorted) this.sorted(message.sorted);
    if (message.picked) {
      this.picks.get(message.picked.id)(message.picked.depth);
      this.picks.delete(message.picked.id);
    }
  }

  restore() {
    this.renderer.load(this.scene);
    this.sorting.current = null;
    this.chrome.drawCameras(this.renderer);
    this.changed();
  }

  // --- sorting: the newest wish counts, one at a time ---

  sortFor(camera) {
    const view = [...row(camera.R, 2), camera.t[2]];
    this.sorting.wanted = view;
    if (!this.sorting.busy && !same(view, this.sorting.current)) this.pump();
    return view;
  }

  pump() {
    const s = this.sorting;
    s.busy = true;
    this.port.postMessage({ what: "sort", view: s.wanted, near: settings.near, buffer: s.buffer }, [s.buffer]);
  }

  sorted({ buffer, drawn, view }) {
    const s = this.sorting;
    s.busy = false;
    s.buffer = buffer;
    s.current = view;
    this.drawn = drawn;
    this.renderer.setOrder(new Uint32Array(buffer), drawn);
    this.dirty = true;
    const done = s.waiting.filter(([wanted]) => same(wanted, view));
    s.waiting = s.waiting.filter(([wanted]) => !same(wanted, view));
    for (const [, resolve] of done) resolve();
    const next = s.waiting.length ? s.waiting[0][0] : s.wanted;
    if (!same(next, view)) {
      s.wanted = next;
      this.pump();
    }
    this.wake();
  }

  // Calls back as soon as the order is that of a camera.
  orderedFor(camera, callback) {
    const view = this.sortFor(camera);
    if (same(view, this.sorting.current) && !this.sorting.busy) callback();
    else this.sorting.waiting.push([view, callback]);
  }

  // When a frame of this camera has been drawn in full.
  settled(camera) {
    return new Promise(resolve => this.orderedFor(camera, () => {
      this.movedAt = this.seen = this.coarseAt = 0;
      this.dirty = true;
      this.onceDrawn = [...this.onceDrawn || [], resolve];
      this.wake();
    }));
  }

  // --- drawing ---

  camera(scale) {
    const { width, height } = this.canvas, w = Math.max(1, Math.round(width * scale)), h = Math.max(1, Math.round(height * scale));
    if (!this.exact) return this.pose.camera(w, h);
    const e = this.exact, s = Math.min(w / e.width, h / e.height);
    return {
      ...e, width: w, height: h, fx: e.fx * s, fy: e.fy * s,
      cx: (e.cx - e.width / 2) * s + w / 2, cy: (e.cy - e.height / 2) * s + h / 2,
    };
  }

  moved() {
    this.exact = null;
    this.changed();
  }

  changed() {
    this.movedAt = performance.now();
    this.dirty = true;
    this.wake();
  }

  wake() {
    if (this.started && !this.asleep) {
      this.asleep = true;
      requestAnimationFrame(time => {
        this.asleep = false;
        guarded(() => this.tick(time));
      });
    }
  }

  tick(time) {
    if (this.fence && !this.finished()) return this.wake();
    const passed = Math.min(1000, time - (this.lastTick || time)), ran = this.wasMoving;
    this.lastTick = time;
    if (this.flight) this.fly(time);
    if (this.controls.step(Math.min(0.1, passed / 1000))) this.moved();
    // Where a frame takes longer than a hand rests, only input that came meanwhile tells that it still moves.
    const rest = this.controls.pointers.size ? 700 : 160, still = performance.now() - Math.max(this.movedAt, this.coarseAt || 0);
    const moving = this.movedAt !== this.seen || still < rest;
    this.seen = this.movedAt;
    if (ran && moving) this.adapt(passed);
    if (!moving && this.wasMoving) this.dirty = true;
    this.wasMoving = moving;
    if (this.dirty) {
      this.drawFrame(moving ? this.scale : 1);
      const { gl } = this.renderer;
      if (moving && !gl.isContextLost()) {
        this.fence = gl.fenceSync(gl.SYNC_GPU_COMMANDS_COMPLETE, 0);
        gl.flush();
      }
    }
    if (moving || this.flight || this.controls.keys.size) this.wake();
  }

  // Whether the last coarse frame is on the screen, not only on its way.
  finished() {
    const { gl } = this.renderer;
    if (!gl.isContextLost() && gl.getSyncParameter(this.fence, gl.SYNC_STATUS) !== gl.SIGNALED) return false;
    gl.deleteSync(this.fence);
    this.fence = null;
    this.coarseAt = performance.now();
    return true;
  }

  adapt(passed) {
    this.pace = 0.6 * (this.pace || passed) + 0.4 * passed;
    if (this.pace > 45) this.scale = Math.max(0.2, this.scale * Math.max(0.6, Math.sqrt(33 / this.pace)));
    else if (this.pace < 24) this.scale = Math.min(1, this.scale * 1.06);
  }

  drawFrame(scale) {
    const { canvas } = this, ratio = Math.min(window.devicePixelRatio || 1, 2);
    const width = Math.max(1, Math.round(canvas.clientWidth * ratio)), height = Math.max(1, Math.round(canvas.clientHeight * ratio));
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    if (this.renderer.gl.isContextLost()) return;
    this.dirty = false;
    const camera = this.camera(scale);
    this.sortFor(camera);
    this.renderer.drawToWindow(camera, this.chrome.camerasShown);
    this.frames++;
    this.chrome.frame(scale, this.pace);
    if (scale === 1 && this.onceDrawn && !this.sorting.busy) {
      const waiting = this.onceDrawn;
      this.onceDrawn = null;
      for (const resolve of waiting) resolve();
    }
  }

  // --- going places ---

  stop() {
    this.flight = null;
  }

  flyTo(pose, duration = 700) {
    this.stop();
    this.flight = { from: this.pose.copy(), to: pose, start: performance.now(), duration };
    this.moved();
  }

  fly(time) {
    const { from, to, start, duration } = this.flight, share = Math.max(0, Math.min(1, (time - start) / duration));
    this.pose = from.toward(to, share * share * (3 - 2 * share));
    if (share === 1) this.flight = null;
    this.moved();
  }

  goTo(index) {
    const view = settings.views[index];
    if (!view || !this.started) return;
    const pose = Pose.ofView(view, this.pose.distance);
    this.chrome.mark(index);
    this.pickTarget(0.5, 0.5, pose).then(distance => {
      if (distance) pose.distance = distance;
      this.flyTo(pose);
    });
  }

  reset() {
    this.chrome.mark(-1);
    this.flyTo(this.home.copy(), 500);
  }

  // The distance of the surface at a point of the window, 0 to 1 each way.
  pickTarget(x, y, pose) {
    const w = this.canvas.clientWidth, h = this.canvas.clientHeight, id = this.nextPick = (this.nextPick || 0) + 1;
    return new Promise(resolve => {
      this.picks.set(id, resolve);
      this.port.postMessage({ what: "pick", camera: pose.camera(w, h), near: settings.near, x: x * w, y: y * h, id });
    });
  }

  // Turns around what is seen at a pixel from now on.
  pickAt(px, py) {
    if (!this.started) return;
    const w = this.canvas.clientWidth, h = this.canvas.clientHeight, camera = this.pose.camera(w, h);
    this.pickTarget(px / w, py / h, this.pose).then(depth => {
      if (!depth) return;
      const ray = [(px - camera.cx) / camera.fx * depth, (py - camera.cy) / camera.fy * depth, depth];
      const offset = [0, 1, 2].map(i => dot([camera.R[i], camera.R[3 + i], camera.R[6 + i]], ray));
      const target = add(this.pose.eye, offset), pose = this.pose.copy(), forward = unit(offset);
      const right = unit(cross(row(pose.R, 1), forward));
      pose.R = orthonormal([...right, ...cross(forward, right), ...forward]);
      pose.distance = Math.hypot(...add(target, pose.eye, -1));
      this.flyTo(pose, 400);
    });
  }

  toggleCameras() {
    this.chrome.toggleCameras();
    this.dirty = true;
    this.wake();
  }

  toggleChrome() {
    document.body.classList.toggle("bare");
  }

  toggleTheme() {
    this.chrome.toggleTheme();
  }

  showHelp() {
    this.chrome.showHelp();
  }

  fullScreen() {
    this.chrome.fullScreen();
  }
}

class Unsupported extends Error {}
class Damaged extends Error {}

const same = (a, b) => !!a && !!b && a.every((value, i) => value === b[i]);

// The worker, or, where the browser allows none, the same on the page's own thread.
function openPort(receive, first) {
  const local = () => {
    const inner = { postMessage: data => setTimeout(() => receive(data)) };
    sceneCode(inner);
    return { postMessage: data => setTimeout(() => inner.onmessage({ data })) };
  };
  let port, answered = false;
  const fallBack = () => {
    Object.assign(port, local());
    port.postMessage(first);
  };
  try {
    const source = `"use strict";(${sceneCode})(self);`;
    const worker = new Worker(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
    worker.onmessage = event => {
      answered = true;
      receive(event.data);
    };
    worker.onerror = event => {
      event.preventDefault();
      if (!answered) fallBack();
      else receive({ failed: event.message || "the worker stopped" });
    };
    port = { postMessage: (data, transfer) => worker.postMessage(data, transfer || []) };
  } catch {
    port = {};
    fallBack();
    return port;
  }
  port.postMessage(first);
  return port;
}

function fail(error) {
  console.error(error);
  const message = byId("message");
  const text = error instanceof Damaged ? `This page is damaged: ${error.message}. Ask for it again, or download it once more.`
    : error instanceof Unsupported ? `${error.message} Try a current Chrome, Edge, Firefox or Safari.`
    : `The scene cannot be shown: ${error.message}.`;
  message.querySelector("p").textContent = text;
  message.hidden = false;
  byId("loading").hidden = true;
  document.body.classList.add("failed");
  if (window.splatViewer && window.splatViewer.fail) window.splatViewer.fail(error);
}

function guarded(action) {
  try {
    return action();
  } catch (error) {
    fail(error);
  }
}

function main() {
  const app = new App();
  const matrix = R => [0, 1, 2].map(i => row(R, i));
  window.splatViewer = {
    // Resolves when the scene has been drawn for the first time.
    ready: app.ready,
    fail: app.reject,
    // What the window shows: world to camera [4][4], pixels [3][3].
    get camera() {
      const { R, t, fx, fy, cx, cy, width, height } = app.camera(1);
      const viewmat = [...matrix(R).map((r, i) => [...r, t[i]]), [0, 0, 0, 1]];
      return { viewmat, K: [[fx, 0, cx], [0, fy, cy], [0, 0, 1]], width, height };
    },
    get frames() { return app.frames; },
    get scale() { return app.scale; },
    get count() { return app.scene ? app.scene.count : 0; },
    get gl() { return app.renderer.gl; },
    // Shows a camera; resolves when it is drawn at full resolution. A size other than the window's is fitted into it.
    async setCamera(viewmat, K, width, height) {
      await app.ready;
      app.stop();
      app.pose = Pose.ofView({ viewmat, K, width, height }, app.pose.distance);
      app.exact = exactCamera(viewmat, K, width, height);
      await app.settled(app.camera(1));
    },
    // The picture [height][width][4] of a camera, bytes row by row; the window stays as it is.
    async picture(viewmat, K, width, height) {
      await app.ready;
      const camera = exactCamera(viewmat, K, width, height);
      return new Promise((resolve, reject) => app.orderedFor(camera, () => {
        try {
          resolve({ width, height, data: app.renderer.pixels(camera) });
        } catch (error) {
          reject(error);
        }
        app.changed();
      }));
    },
    reset: () => app.reset(),
    goTo: index => app.goTo(index),
  };
}

window.addEventListener("DOMContentLoaded", () => guarded(main));
