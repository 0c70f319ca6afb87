// Which Gaussian lies behind which. Exact: the depths' own bits are sorted, 16 at a time, from far to near.

class DepthSorter {
  constructor(means) {
    this.means = means;
    this.count = means.length / 3;
    this.keys = new Uint32Array(this.count);
    this.other = new Uint32Array(this.count);
    this.sortedKeys = new Uint32Array(this.count);
    this.half = new Uint32Array(this.count);
    this.low = new Uint32Array(65536);
    this.high = new Uint32Array(65536);
    this.depths = new Float32Array(this.count);
  }

  // view: [a, b, c, d] with depth a x + b y + c z + d. Fills `order`; returns how many lie beyond `near`.
  sort(view, near, order) {
    const { means, count, keys, other, low, high, depths, sortedKeys, half } = this, [a, b, c, d] = view;
    const bits = new Uint32Array(depths.buffer);
    low.fill(0);
    high.fill(0);
    let drawn = 0;
    for (let i = 0; i < count; i++) {
      const z = a * means[3 * i] + b * means[3 * i + 1] + c * means[3 * i + 2] + d;
      if (!(z >= near)) continue;
      depths[drawn] = z;
      const key = ~bits[drawn] >>> 0;
      keys[drawn] = key;
      other[drawn++] = i;
      low[key & 65535]++;
      high[key >>> 16]++;
    }
    let sumLow = 0, sumHigh = 0;
    for (let i = 0; i < 65536; i++) {
      const countLow = low[i], countHigh = high[i];
      low[i] = sumLow;
      high[i] = sumHigh;
      sumLow += countLow;
      sumHigh += countHigh;
    }
    for (let i = 0; i < drawn; i++) {
      const place = low[keys[i] & 65535]++;
      sortedKeys[place] = keys[i];
      half[place] = other[i];
    }
    for (let i = 0; i < drawn; i++) order[high[sortedKeys[i] >>> 16]++] = half[i];
    return drawn;
  }
}

// How far away the surface is at a pixel: where half of the light is gone. Gaussians count as round.
function pickDepth(scene, camera, near, px, py) {
  const { means, scales, opacity, tables, count } = scene, { R, t, fx, fy, cx, cy } = camera, hits = [];
  for (let i = 0; i < count; i++) {
    const x = means[3 * i], y = means[3 * i + 1], z = means[3 * i + 2];
    const depth = R[6] * x + R[7] * y + R[8] * z + t[2];
    if (depth < near) continue;
    const u = fx * (R[0] * x + R[1] * y + R[2] * z + t[0]) / depth + cx - px;
    const v = fy * (R[3] * x + R[4] * y + R[5] * z + t[1]) / depth + cy - py;
    const sigma = fx * tables[scales[i]] / depth, reach = u * u + v * v, size = sigma * sigma + 0.3;
    if (reach > 9 * size) continue;
    const alpha = opacity[i] / 255 * Math.exp(-0.5 * reach / size);
    if (alpha > 1 / 255) hits.push([depth, Math.min(alpha, 0.99)]);
  }
  hits.sort((a, b) => a[0] - b[0]);
  let light = 1;
  for (const [depth, alpha] of hits) if ((light *= 1 - alpha) < 0.5) return depth;
  return hits.length && light < 0.9 ? hits[hits.length - 1][0] : null;
}
