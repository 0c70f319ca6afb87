// GLSL. Lines that begin with two slashes are left out of the page.

// One fragment for every Gaussian: what the camera sees of it, by the formulas of splat/reference/projection.py.
const PROJECT = `#version 300 es
precision highp float;
precision highp int;
precision highp usampler2D;
precision highp sampler2D;
uniform usampler2D geometry, look;
uniform sampler2D tables, harmonics;
uniform int count, degree, palettePerRow;
uniform mat3 R;
uniform vec3 t, eye;
uniform vec2 focal, center, size;
uniform vec4 limits;
uniform float near;
uniform bool antialiased;
layout(location = 0) out uvec4 place;
layout(location = 1) out uvec4 shade;

vec3 sh(int label, vec3 d) {
  int bases = (degree + 1) * (degree + 1) - 1;
  ivec2 at = ivec2(label % palettePerRow * bases, label / palettePerRow);
#define H(k) texelFetch(harmonics, at + ivec2(k, 0), 0).rgb
  float x = d.x, y = d.y, z = d.z;
  vec3 c = 0.4886025119 * (-y * H(0) + z * H(1) - x * H(2));
  if (degree < 2) return c;
  float xx = x * x, yy = y * y, zz = z * z;
  c += 1.0925484306 * (x * y * H(3) - y * z * H(4) - x * z * H(6)) + 0.3153915653 * (2.0 * zz - xx - yy) * H(5)
    + 0.5462742153 * (xx - yy) * H(7);
  if (degree < 3) return c;
  return c - 0.5900435899 * (y * (3.0 * xx - yy) * H(8) + x * (xx - 3.0 * yy) * H(14)) + 2.8906114426 * x * y * z * H(9)
    - 0.4570457995 * (y * (4.0 * zz - xx - yy) * H(10) + x * (4.0 * zz - xx - yy) * H(12))
    + 0.3731763326 * z * (2.0 * zz - 3.0 * xx - 3.0 * yy) * H(11) + 1.4453057213 * z * (xx - yy) * H(13);
}

void main() {
  place = uvec4(0u);
  shade = uvec4(0u);
  ivec2 texel = ivec2(gl_FragCoord.xy);
  if (texel.y * 2048 + texel.x >= count) return;
  uvec4 g = texelFetch(geometry, texel, 0);
  float opacity = float(g.w >> 24) / 255.0;
  vec3 mean = uintBitsToFloat(g.xyz), p = R * mean + t;
  if (p.z < near || opacity < 1.0 / 255.0) return;
  uvec2 l = texelFetch(look, texel, 0).xy;
#define TABLE(code, row) texelFetch(tables, ivec2(int((code) & 255u), row), 0).r
  vec3 s = vec3(TABLE(l.x, 0), TABLE(l.x >> 8, 0), TABLE(l.x >> 16, 0));
  vec3 q = (vec3(g.w & 255u, g.w >> 8 & 255u, g.w >> 16 & 255u) / 255.0 - 0.5) * 1.4142135624;
  vec4 r = normalize(vec4(q, sqrt(max(0.0, 1.0 - dot(q, q)))));
  vec3 r2 = 2.0 * r.xyz, a1 = r2 * r.x, a2 = r2 * r.y, a3 = r2 * r.z, aw = r2 * r.w;
  mat3 axes = R * mat3(
    (vec3(1.0 - a2.y - a3.z, a2.x + aw.z, a3.x - aw.y)) * s.x,
    (vec3(a2.x - aw.z, 1.0 - a1.x - a3.z, a3.y + aw.x)) * s.y,
    (vec3(a3.x + aw.y, a3.y - aw.x, 1.0 - a1.x - a2.y)) * s.z);
  vec2 ratio = p.xy / p.z, mean2d = focal * ratio + center, at = clamp(ratio, limits.xy, limits.zw);
  vec3 u = focal.x / p.z * (transpose(axes) * vec3(1.0, 0.0, -at.x));
  vec3 v = focal.y / p.z * (transpose(axes) * vec3(0.0, 1.0, -at.y));
  float a0 = dot(u, u), b = dot(u, v), c0 = dot(v, v), a = a0 + 0.3, c = c0 + 0.3, det = a * c - b * b;
  if (antialiased) opacity *= sqrt(max((a0 * c0 - b * b) / det, 1e-12));
  if (!(opacity >= 1.0 / 255.0)) return;
  vec2 reach = sqrt(2.0 * log(255.0 * opacity) * vec2(a, c));
  if (any(lessThan(mean2d + reach, vec2(0.0))) || any(greaterThan(mean2d - reach, size))) return;
  float longest = 0.5 * (a + c) + length(vec2(0.5 * (a - c), b)), angle = 0.5 * atan(2.0 * b, a - c);
  vec3 color = vec3(TABLE(l.x >> 24, 1), TABLE(l.y, 1), TABLE(l.y >> 8, 1));
  if (degree > 0) color += sh(int((l.y >> 16 & 255u) << 8 | l.y >> 24), normalize(mean - eye));
  color = min(max(color, 0.0), 60000.0);
  place = floatBitsToUint(vec4(mean2d, sqrt(longest) * vec2(cos(angle), sin(angle))));
  shade = uvec4(floatBitsToUint(sqrt(det / longest)), packHalf2x16(color.rg), packHalf2x16(vec2(color.b, 0.0)),
    floatBitsToUint(opacity));
}`;

// A rectangle along the axes of each ellipse, out to where alpha falls to 1/255. QUADS of them to an instance: an instance
// for each would be slow on many drivers.
const QUADS = 1024;
const SPLAT_CORNERS = `#version 300 es
precision highp float;
precision highp int;
precision highp usampler2D;
uniform usampler2D order, places, shades;
uniform int drawn;
uniform vec2 size;
out vec2 corner;
flat out vec4 color;
void main() {
  gl_Position = vec4(0.0, 0.0, 2.0, 1.0);
  corner = vec2(0.0);
  color = vec4(0.0);
  int rank = gl_InstanceID * ${QUADS} + (gl_VertexID >> 2), side = gl_VertexID & 3;
  if (rank >= drawn) return;
  uint index = texelFetch(order, ivec2(rank & 2047, rank >> 11), 0).x;
  ivec2 texel = ivec2(index & 2047u, index >> 11);
  uvec4 shade = texelFetch(shades, texel, 0);
  float opacity = uintBitsToFloat(shade.w);
  if (opacity == 0.0) return;
  color = vec4(unpackHalf2x16(shade.y), unpackHalf2x16(shade.z).x, opacity);
  vec4 place = uintBitsToFloat(texelFetch(places, texel, 0));
  corner = (vec2(side & 1, side >> 1) * 2.0 - 1.0) * sqrt(2.0 * log(255.0 * opacity));
  vec2 along = place.zw, across = uintBitsToFloat(shade.x) * normalize(vec2(-along.y, along.x));
  vec2 pixel = place.xy + corner.x * along + corner.y * across;
  gl_Position = vec4(pixel / size * 2.0 - 1.0, 0.0, 1.0);
}`;

const SPLAT_PIXELS = `#version 300 es
precision highp float;
in vec2 corner;
flat in vec4 color;
out vec4 pixel;
void main() {
  float alpha = color.a * exp(-0.5 * dot(corner, corner));
  if (alpha < 1.0 / 255.0) discard;
  alpha = min(alpha, 0.99);
  pixel = vec4(color.rgb * alpha, alpha);
}`;

// From the picture, whose rows go down, to the window.
const SHOW_CORNERS = `#version 300 es
out vec2 uv;
uniform vec2 used;
uniform bool upright;
void main() {
  vec2 at = vec2(gl_VertexID & 1, gl_VertexID >> 1);
  uv = at * used;
  gl_Position = vec4(at.x * 2.0 - 1.0, (upright ? at.y : 1.0 - at.y) * 2.0 - 1.0, 0.0, 1.0);
}`;

const SHOW_PIXELS = `#version 300 es
precision highp float;
uniform sampler2D picture;
uniform vec2 last;
in vec2 uv;
out vec4 pixel;
void main() {
  pixel = vec4(clamp(texture(picture, min(uv, last)).rgb, 0.0, 1.0), 1.0);
}`;

const LINE_CORNERS = `#version 300 es
uniform mat3 R;
uniform vec3 t;
uniform vec2 focal, center, size;
in vec3 point;
void main() {
  vec3 p = R * point + t;
  vec2 pixel = focal * p.xy + center * p.z;
  gl_Position = vec4(pixel.x / size.x * 2.0 - p.z, p.z - pixel.y / size.y * 2.0, 0.0, p.z);
}`;

const LINE_PIXELS = `#version 300 es
precision mediump float;
uniform vec4 ink;
out vec4 pixel;
void main() { pixel = ink; }`;
