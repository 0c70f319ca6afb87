// Mouse, touch and keys, as changes of the pose. `app` has pose, up, moved(), pickAt(x, y), and what the keys call.

class Controls {
  constructor(canvas, app) {
    this.app = app;
    this.canvas = canvas;
    this.pointers = new Map();
    this.keys = new Set();
    this.lastTap = null;
    const on = (target, names, handler, options) => names.split(" ").forEach(n => target.addEventListener(n, handler, options));
    on(canvas, "pointerdown", event => this.down(event));
    on(canvas, "pointermove", event => this.move(event));
    on(canvas, "pointerup pointercancel", event => this.up(event));
    on(canvas, "wheel", event => this.wheel(event), { passive: false });
    on(canvas, "contextmenu", event => event.preventDefault());
    on(canvas, "dblclick", event => app.pickAt(event.offsetX, event.offsetY));
    on(window, "keydown", event => this.key(event, true));
    on(window, "keyup", event => this.key(event, false));
    on(window, "blur", () => this.keys.clear());
  }

  // Pixels as shares of the window's mean side.
  get side() {
    return Math.sqrt(this.canvas.clientWidth * this.canvas.clientHeight) || 1;
  }

  down(event) {
    this.canvas.focus({ preventScroll: true });
    try {
      this.canvas.setPointerCapture(event.pointerId);
    } catch { /* a pointer that is gone already */ }
    const { offsetX: x, offsetY: y } = event;
    this.pointers.set(event.pointerId, { x, y, startX: x, startY: y, button: event.button, time: event.timeStamp });
    this.app.stop();
  }

  move(event) {
    const p = this.pointers.get(event.pointerId), { app } = this;
    if (!p) return;
    const before = this.spread(), dx = (event.offsetX - p.x) / this.side, dy = (event.offsetY - p.y) / this.side;
    p.x = event.offsetX;
    p.y = event.offsetY;
    if (!dx && !dy) return;
    if (this.pointers.size === 1) {
      const pans = p.button === 2 || p.button === 1 || event.shiftKey || event.ctrlKey;
      if (pans) app.pose.pan(dx, dy);
      else if (event.altKey) app.pose.look(2 * dx, -2 * dy, app.up);
      else app.pose.orbit(4 * dx, -4 * dy, app.up);
    } else if (this.pointers.size === 2) {
      const after = this.spread();
      app.pose.pan((after.x - before.x) / this.side, (after.y - before.y) / this.side);
      if (after.distance > 8 && before.distance > 8) app.pose.dolly(before.distance / after.distance);
    }
    app.moved();
  }

  up(event) {
    const p = this.pointers.get(event.pointerId);
    this.pointers.delete(event.pointerId);
    if (!p || event.pointerType !== "touch" || this.pointers.size) return;
    const still = Math.hypot(p.x - p.startX, p.y - p.startY) < 12 && event.timeStamp - p.time < 300;
    const last = this.lastTap;
    this.lastTap = still ? { x: p.x, y: p.y, time: event.timeStamp } : null;
    if (still && last && event.timeStamp - last.time < 350 && Math.hypot(p.x - last.x, p.y - last.y) < 30) {
      this.lastTap = null;
      this.app.pickAt(p.x, p.y);
    }
  }

  // Middle and distance of two fingers.
  spread() {
    const [a, b = a] = this.pointers.values();
    return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, distance: Math.hypot(a.x - b.x, a.y - b.y) };
  }

  wheel(event) {
    event.preventDefault();
    const lines = event.deltaY * (event.deltaMode === 1 ? 16 : event.deltaMode === 2 ? 400 : 1);
    this.app.stop();
    this.app.pose.dolly(Math.exp(Math.max(-1, Math.min(1, lines * (event.ctrlKey ? 0.01 : 0.0015)))));
    this.app.moved();
  }

  key(event, pressed) {
    const { app } = this, key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (event.target.closest && event.target.closest("dialog")) return;
    if ("wasdqe".includes(key) || key.startsWith("Arrow")) {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (pressed) {
        this.keys.add(key);
        app.stop();
        app.wake();
      } else {
        this.keys.delete(key);
      }
      if (key.startsWith("Arrow")) event.preventDefault();
      this.fast = event.shiftKey;
      return;
    }
    this.fast = event.shiftKey;
    if (!pressed || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    if (key >= "1" && key <= "9") app.goTo(+key - 1);
    const action = { r: "reset", f: "fullScreen", c: "toggleCameras", h: "toggleChrome", t: "toggleTheme" };
    if (key === "?" || key === "F1") app.showHelp();
    else if (action[key]) app[action[key]]();
    else return;
    event.preventDefault();
  }

  // Keys that are held; seconds since the last frame. Whether anything moved.
  step(seconds) {
    const { keys, app } = this;
    if (!keys.size) return false;
    const held = (a, b) => (keys.has(a) ? 1 : 0) - (keys.has(b) ? 1 : 0), speed = this.fast ? 4 : 1;
    const walk = app.pose.distance * 0.7 * seconds * speed, turn = 1.2 * seconds * speed;
    app.pose.walk(held("d", "a") * walk, held("q", "e") * walk, held("w", "s") * walk);
    const yaw = held("ArrowRight", "ArrowLeft"), pitch = held("ArrowDown", "ArrowUp");
    if (yaw || pitch) app.pose.orbit(-yaw * turn, pitch * turn, app.up);
    return true;
  }
}
