// From the text in the page to the numbers of the scene. Written by text_encoding.py and payload.py in viewer/share and by
// planes.py and rans.py in compression/coding, which say what each part looks like.

class Damaged extends Error {}

// Seven bits in every character; those that HTML would change are told by one of 128 or more, with the next seven.
function bytesOfText(text, length) {
  const bytes = new Uint8Array(length), special = [0, 13, 60];
  let buffer = 0, held = 0, at = 0;
  const put = value => {
    buffer = buffer << 7 | value;
    held += 7;
    if (held >= 8) {
      held -= 8;
      if (at < length) bytes[at++] = buffer >> held;
      buffer &= (1 << held) - 1;
    }
  };
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 128) {
      put(code);
    } else {
      const which = (code >> 7) - 1;
      if (which > 2) throw new Damaged("a character that does not belong here");
      put(special[which]);
      put(code & 127);
    }
  }
  if (at < length) throw new Damaged(`${at} of ${length} bytes are there`);
  return bytes;
}

function crc32(bytes, from) {
  const table = new Uint32Array(256);
  for (let i = 0; i < 256; i++) {
    let c = i;
    for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ c >>> 1 : c >>> 1;
    table[i] = c;
  }
  let c = -1;
  for (let i = from; i < bytes.length; i++) c = table[(c ^ bytes[i]) & 255] ^ c >>> 8;
  return ~c >>> 0;
}

// 256 decoders side by side, symbol i in decoder i modulo 256.
class SymbolReader {
  constructor(bytes) {
    const copy = bytes.slice(0, bytes.length & ~1).buffer;
    this.states = new Uint32Array(copy.slice(0, 1024));
    this.words = new Uint16Array(copy, 1024);
    this.next = 0;
    this.word = 0;
  }

  bits(width) {
    const lane = this.next++ & 255, shift = 14 - width, state = this.states[lane];
    const value = (state & 16383) >>> shift;
    this.advance(lane, (1 << shift) * (state >>> 14) + (state & (1 << shift) - 1));
    return value;
  }

  advance(lane, state) {
    this.states[lane] = state < 65536 ? state * 65536 + this.words[this.word++] : state;
  }

  // Symbols under one of several tables of frequencies; contextOf says which one holds at a place.
  symbols(out, tables, alphabet, contextOf) {
    const count = tables.length / alphabet, lookup = new Uint8Array(count << 14), starts = new Uint16Array(tables.length);
    for (let c = 0; c < count; c++) {
      let start = 0;
      for (let s = 0; s < alphabet; s++) {
        starts[c * alphabet + s] = start;
        lookup.fill(s, (c << 14) + start, (c << 14) + (start += tables[c * alphabet + s]));
      }
    }
    const { states, words } = this;
    let { next, word } = this;
    for (let i = 0; i < out.length; i++) {
      const c = contextOf(i), lane = next++ & 255, state = states[lane], slot = state & 16383;
      const symbol = out[i] = lookup[(c << 14) + slot], k = c * alphabet + symbol;
      const left = tables[k] * (state >>> 14) + slot - starts[k];
      states[lane] = left < 65536 ? left * 65536 + words[word++] : left;
    }
    this.next = next;
    this.word = word;
  }
}

// Frequencies that add up to 16384 from their logarithms in quarters of a bit; whole numbers as the writer has them.
function frequencies(logarithms, alphabet) {
  const mantissa = [16, 19, 22, 27], result = new Uint16Array(logarithms.length);
  for (let from = 0; from < logarithms.length; from += alphabet) {
    const weight = Array.from(logarithms.subarray(from, from + alphabet), q => q && mantissa[q & 3] * 2 ** (q >> 2));
    const total = weight.reduce((a, b) => a + b), present = weight.filter(w => w).length;
    let rest = 16384, largest = 0;
    for (let s = 0; s < alphabet; s++) {
      result[from + s] = weight[s] && 1 + Math.floor(weight[s] * (16384 - present) / total);
      rest -= result[from + s];
      if (result[from + s] > result[from + largest]) largest = s;
    }
    result[from + largest] += rest;
  }
  return result;
}

function readPlane(reader, plane, length, known) {
  const out = known[plane.name] = new Uint8Array(length), { alphabet, contexts } = plane;
  const sources = contexts.map(([name, edges]) => {
    const range = new Uint8Array(256);
    for (const edge of edges) for (let v = edge; v < 256; v++) range[v]++;
    return { values: name === "before" ? null : known[name], range, count: edges.length + 1 };
  });
  const count = sources.reduce((product, source) => product * source.count, 1);
  if (!(alphabet > 0 && alphabet <= 256 && count <= 256)) throw new Damaged("a table that cannot be");
  const model = new Uint8Array(64);
  for (let i = 0; i < 64; i++) model[i] = reader.bits(6);
  const logarithms = new Uint8Array(count * alphabet);
  reader.symbols(logarithms, frequencies(model, 64), 64, () => 0);
  for (let i = 1; i < logarithms.length; i++) logarithms[i] = logarithms[i] + logarithms[i - 1] & 63;
  const tables = frequencies(logarithms, alphabet), [a, b] = sources;
  const at = (source, i) => source.range[source.values ? source.values[i] : i ? out[i - 1] : 0];
  const contextOf = !a ? () => 0 : !b ? i => at(a, i) : i => at(a, i) * b.count + at(b, i);
  reader.symbols(out, tables, alphabet, contextOf);
}

// Every third bit of 24, together.
function gather(code) {
  code &= 0x249249;
  code = (code | code >> 2) & 0xc30c3;
  code = (code | code >> 4) & 0xf00f;
  return (code | code >> 8) & 0xff;
}

// Positions along the Z-order curve, then what each Gaussian looks like. Texels as the shaders want them:
// geometry [x, y, z as floats; quaternion and opacity], look [scales and red; green, blue, label].
function decodeScene(text, length, progress) {
  const bytes = bytesOfText(text, length);
  progress(0.2);
  const view = new DataView(bytes.buffer);
  if (length < 8 || crc32(bytes, 4) !== view.getUint32(0, true)) throw new Damaged("its checksum is wrong");
  const start = 8 + view.getUint32(4, true), header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, start)));
  const { count, degree, palette } = header, books = degree ? 3 : 2;
  const numbers = new Float32Array(bytes.slice(start, start + 1024 * books).buffer);
  const reader = new SymbolReader(bytes.subarray(start + 1024 * books));
  const planes = header.planes.slice(), known = {}, total = planes.length;
  const read = n => {
    readPlane(reader, planes.shift(), n, known);
    progress(0.3 + 0.6 * (1 - planes.length / total));
  };
  const width = 2048, rows = Math.ceil(count / width);
  const geometry = new Uint32Array(4 * width * rows), look = new Uint32Array(2 * width * rows);
  const means = new Float32Array(3 * count), cells = [0, 0, 0];
  read(count);
  for (let i = 0, code = 0; i < count; i++) {
    const step = known.step[i], bits = step >> 2;
    let left = Math.max(0, bits - 3);
    let value = bits < 3 ? (bits && (4 | step & 3) >> 3 - bits) : 4 | step & 3;
    while (left > 0) {
      const width = Math.min(8, left);
      value = value * 2 ** width + reader.bits(width);
      left -= width;
    }
    code += value;
    const high = Math.floor(code / 16777216), low = code % 16777216;
    for (let axis = 0; axis < 3; axis++) {
      const t = gather(high >> axis) << 8 | gather(low >> axis);
      const log = header.mins[axis] + t / 65535 * (header.maxs[axis] - header.mins[axis]);
      means[3 * i + axis] = Math.sign(log) * Math.expm1(Math.abs(log));
    }
  }
  const meanBits = new Uint32Array(means.buffer);
  while (planes.length && !planes[0].name.startsWith("palette")) read(count);
  const k = known, high = k.label_high, low = k.label_low;
  for (let i = 0; i < count; i++) {
    geometry[4 * i] = meanBits[3 * i];
    geometry[4 * i + 1] = meanBits[3 * i + 1];
    geometry[4 * i + 2] = meanBits[3 * i + 2];
    geometry[4 * i + 3] = k.quat_x[i] | k.quat_y[i] << 8 | k.quat_z[i] << 16 | k.opacity[i] << 24;
    const green = k.green[i], red = k.red[i] + green + 128 & 255, blue = k.blue[i] + green + 128 & 255;
    look[2 * i] = k.scale0[i] | k.scale1[i] << 8 | k.scale2[i] << 16 | red << 24;
    look[2 * i + 1] = green | blue << 8 | (high ? high[i] : 0) << 16 | (low ? low[i] : 0) << 24;
  }
  const tables = new Float32Array(512);
  for (let i = 0; i < 256; i++) {
    tables[i] = Math.exp(numbers[i]);
    tables[256 + i] = 0.5 + 0.28209479177387814 * numbers[256 + i];
  }
  const bases = (degree + 1) ** 2 - 1, perRow = bases ? Math.floor(2048 / bases) : 1;
  const paletteRows = degree ? Math.ceil(palette / perRow) : 1, paletteWidth = degree ? perRow * bases : 1;
  const harmonics = new Float32Array(3 * paletteWidth * paletteRows);
  if (degree) {
    const band = known.band = new Uint8Array(palette * bases);
    for (let i = 0; i < band.length; i++) band[i] = i % bases < 3 ? 1 : i % bases < 8 ? 2 : 3;
    while (planes.length) read(palette * bases);
    for (let i = 0; i < band.length; i++) {
      harmonics[3 * i] = numbers[512 + known.palette_red[i]];
      harmonics[3 * i + 1] = numbers[512 + known.palette_green[i]];
      harmonics[3 * i + 2] = numbers[512 + known.palette_blue[i]];
    }
  }
  progress(0.95);
  return {
    count, degree, antialiased: header.antialiased, means, geometry, look, rows, tables,
    harmonics, paletteWidth, paletteRows, palettePerRow: perRow, scales: k.scale1, opacity: k.opacity,
  };
}
