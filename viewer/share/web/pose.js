// Where one looks from. World to camera as in splat/cameras.py: x right, y down, z forward; R row-major.

const add = (a, b, s = 1) => [a[0] + s * b[0], a[1] + s * b[1], a[2] + s * b[2]];
const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
const scaled = (a, s) => [a[0] * s, a[1] * s, a[2] * s];
const unit = a => scaled(a, 1 / (Math.hypot(...a) || 1));
const row = (R, i) => [R[3 * i], R[3 * i + 1], R[3 * i + 2]];
const eyeOf = ({ R, t }) => [0, 1, 2].map(i => -(R[i] * t[0] + R[3 + i] * t[1] + R[6 + i] * t[2]));

// A vector turned about a unit axis (Rodrigues).
function turned(v, axis, angle) {
  const c = Math.cos(angle), s = Math.sin(angle);
  return add(add(scaled(v, c), cross(axis, v), s), axis, dot(axis, v) * (1 - c));
}

// A free camera: the eye, its axes as rows of R, how far ahead it turns around, and the field of view as the focal length
// in units of the window's mean side.
class Pose {
  constructor(eye, R, distance, zoom) {
    Object.assign(this, { eye, R: orthonormal(R), distance, zoom });
  }

  static ofView(view, distance) {
    const [R, t] = [view.viewmat.slice(0, 3).flatMap(r => r.slice(0, 3)), view.viewmat.slice(0, 3).map(r => r[3])];
    const focal = Math.sqrt(view.K[0][0] * view.K[1][1]);
    return new Pose(eyeOf({ R, t }), R, distance, focal / Math.sqrt(view.width * view.height));
  }

  copy() {
    return new Pose(this.eye.slice(), this.R.slice(), this.distance, this.zoom);
  }

  get target() {
    return add(this.eye, row(this.R, 2), this.distance);
  }

  camera(width, height) {
    const focal = this.zoom * Math.sqrt(width * height), { R, eye } = this;
    const t = [0, 1, 2].map(i => -dot(row(R, i), eye));
    return { R, t, fx: focal, fy: focal, cx: width / 2, cy: height / 2, width, height };
  }

  // About the target, by angles; never over the top.
  orbit(yaw, pitch, up) {
    const target = this.target, rows = this.turnRows(yaw, pitch, up);
    this.R = rows;
    this.eye = add(target, row(rows, 2), -this.distance);
  }

  // About the eye.
  look(yaw, pitch, up) {
    this.R = this.turnRows(yaw, pitch, up);
  }

  turnRows(yaw, pitch, up) {
    const forward = row(this.R, 2), height = Math.asin(Math.max(-1, Math.min(1, dot(forward, up))));
    const limit = 1.55, wanted = Math.max(-limit, Math.min(limit, height + pitch));
    const right = row(this.R, 0);
    const turn = v => turned(turned(v, right, wanted - height), up, yaw);
    return orthonormal([0, 1, 2].flatMap(i => turn(row(this.R, i))));
  }

  // Sideways and down by shares of the window's mean side, at the depth of the target.
  pan(x, y) {
    const step = this.distance / this.zoom;
    this.eye = add(add(this.eye, row(this.R, 0), -x * step), row(this.R, 1), -y * step);
  }

  // Nearer to the target or farther away.
  dolly(factor) {
    const target = this.target;
    this.distance = Math.min(1e6, Math.max(1e-4, this.distance * factor));
    this.eye = add(target, row(this.R, 2), -this.distance);
  }

  walk(right, down, forward) {
    [right, down, forward].forEach((step, i) => {
      this.eye = add(this.eye, row(this.R, i), step);
    });
  }

  // Between this and another, 0 to 1; rotations by the shortest way.
  toward(other, share) {
    const eye = add(scaled(this.eye, 1 - share), other.eye, share), mix = (a, b) => a + (b - a) * share;
    const a = quaternion(this.R), b = quaternion(other.R), sign = a.reduce((sum, v, i) => sum + v * b[i], 0) < 0 ? -1 : 1;
    let cosine = Math.min(1, sign * a.reduce((sum, v, i) => sum + v * b[i], 0));
    const angle = Math.acos(cosine), wa = angle < 1e-4 ? 1 - share : Math.sin((1 - share) * angle) / Math.sin(angle);
    const wb = angle < 1e-4 ? share : Math.sin(share * angle) / Math.sin(angle);
    const R = rotation(a.map((v, i) => wa * v + wb * sign * b[i]));
    const distance = Math.exp(mix(Math.log(this.distance), Math.log(other.distance)));
    return new Pose(eye, R, distance, mix(this.zoom, other.zoom));
  }
}

function orthonormal(R) {
  const forward = unit(row(R, 2)), right = unit(add(row(R, 0), forward, -dot(row(R, 0), forward)));
  return [...right, ...cross(forward, right), ...forward];
}

function quaternion(R) {
  const [a, b, c, d, e, f, g, h, i] = R;
  const all = [[1 + a + e + i, h - f, c - g, d - b], [h - f, 1 + a - e - i, b + d, c + g],
    [c - g, b + d, 1 - a + e - i, f + h], [d - b, c + g, f + h, 1 - a - e + i]];
  const best = all.reduce((x, y) => Math.hypot(...x) > Math.hypot(...y) ? x : y), n = Math.hypot(...best);
  return best.map(v => v / n);
}

function rotation(q) {
  const n = Math.hypot(...q), [w, x, y, z] = q.map(v => v / n);
  return [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
    2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
    2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)];
}

// A camera of a given matrix, exactly.
function exactCamera(viewmat, K, width, height) {
  const rows = viewmat.slice(0, 3);
  return {
    R: rows.flatMap(r => r.slice(0, 3)), t: rows.map(r => r[3]),
    fx: K[0][0], fy: K[1][1], cx: K[0][2], cy: K[1][2], width, height,
  };
}
