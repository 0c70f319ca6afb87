// WebGL2: the scene as textures, and pictures of it. A camera is {R: row-major 3x3, t, fx, fy, cx, cy, width, height}.

class Renderer {
  constructor(canvas, background, near) {
    this.canvas = canvas;
    this.background = background;
    this.near = near;
    const options = { antialias: false, alpha: false, depth: false, stencil: false, powerPreference: "high-performance" };
    this.gl = canvas.getContext("webgl2", { ...options, preserveDrawingBuffer: true });
    this.drawn = 0;
  }

  // Everything on the graphics card; again after the browser has lost it.
  load(scene) {
    const gl = this.gl;
    this.scene = scene;
    const half = gl.getExtension("EXT_color_buffer_float") || gl.getExtension("EXT_color_buffer_half_float");
    this.format = half ? [gl.RGBA16F, gl.HALF_FLOAT] : [gl.RGBA8, gl.UNSIGNED_BYTE];
    this.project = this.program(SHOW_CORNERS, PROJECT);
    this.splat = this.program(SPLAT_CORNERS, SPLAT_PIXELS);
    this.show = this.program(SHOW_CORNERS, SHOW_PIXELS);
    this.lines = this.program(LINE_CORNERS, LINE_PIXELS);
    const limit = gl.getParameter(gl.MAX_TEXTURE_SIZE);
    if (Math.max(2048, scene.rows, scene.paletteRows) > limit) throw new Error("the scene is too large for this device");
    const { rows } = scene;
    this.geometry = this.texture(gl.RGBA32UI, 2048, rows, gl.RGBA_INTEGER, gl.UNSIGNED_INT, scene.geometry);
    this.look = this.texture(gl.RG32UI, 2048, rows, gl.RG_INTEGER, gl.UNSIGNED_INT, scene.look);
    this.tables = this.texture(gl.R32F, 256, 2, gl.RED, gl.FLOAT, scene.tables);
    this.harmonics =
      this.texture(gl.RGB32F, scene.paletteWidth, scene.paletteRows, gl.RGB, gl.FLOAT, scene.harmonics);
    this.places = this.texture(gl.RGBA32UI, 2048, rows, gl.RGBA_INTEGER, gl.UNSIGNED_INT, null);
    this.shades = this.texture(gl.RGBA32UI, 2048, rows, gl.RGBA_INTEGER, gl.UNSIGNED_INT, null);
    this.projected = this.target(this.places, this.shades);
    this.picture = null;
    this.exact = null;
    this.nothing = gl.createVertexArray();
    this.quads = gl.createVertexArray();
    this.order = this.texture(gl.R32UI, 2048, rows, gl.RED_INTEGER, gl.UNSIGNED_INT, null);
    const corners = new Uint16Array(6 * QUADS);
    for (let i = 0; i < corners.length; i++) corners[i] = 4 * Math.floor(i / 6) + [0, 1, 2, 2, 1, 3][i % 6];
    gl.bindVertexArray(this.quads);
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, corners, gl.STATIC_DRAW);
    this.wires = gl.createVertexArray();
    this.wireCount = 0;
    this.drawn = 0;
    const error = gl.getError();
    if (error) throw new Error(error === gl.OUT_OF_MEMORY ? "this device has too little graphics memory" : `WebGL ${error}`);
  }

  // Indices from far to near, the first `drawn` of whole rows.
  setOrder(order, drawn) {
    const gl = this.gl, rows = Math.ceil(drawn / 2048);
    gl.bindTexture(gl.TEXTURE_2D, this.order);
    if (rows) gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, 2048, rows, gl.RED_INTEGER, gl.UNSIGNED_INT, order);
    this.drawn = drawn;
  }

  // Ends of line segments in the world, [x, y, z] each.
  setLines(points) {
    const gl = this.gl;
    gl.bindVertexArray(this.wires);
    gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ARRAY_BUFFER, new Float32Array(points), gl.STATIC_DRAW);
    gl.enableVertexAttribArray(this.lines.point);
    gl.vertexAttribPointer(this.lines.point, 3, gl.FLOAT, false, 0, 0);
    this.wireCount = points.length / 3;
  }

  // The scene into a picture that is at least as large as the camera's.
  draw(camera, picture) {
    const gl = this.gl, { scene } = this, { width, height } = camera;
    gl.disable(gl.BLEND);
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.projected);
    gl.viewport(0, 0, 2048, scene.rows);
    const p = this.project;
    gl.useProgram(p.program);
    ["geometry", "look", "tables", "harmonics"].forEach((name, unit) => this.bind(p[name], unit, this[name]));
    gl.uniform1i(p.count, scene.count);
    gl.uniform1i(p.degree, scene.degree);
    gl.uniform1i(p.palettePerRow, scene.palettePerRow);
    gl.uniform1i(p.antialiased, scene.antialiased);
    this.setCamera(p, camera);
    gl.uniform3fv(p.eye, eyeOf(camera));
    gl.uniform1f(p.near, this.near);
    const { fx, fy, cx, cy } = camera, margin = [0.15 * width / fx, 0.15 * height / fy];
    const limits = [-cx / fx - margin[0], -cy / fy - margin[1], (width - cx) / fx + margin[0], (height - cy) / fy + margin[1]];
    gl.uniform4fv(p.limits, limits);
    gl.bindVertexArray(this.nothing);
    gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);

    gl.bindFramebuffer(gl.FRAMEBUFFER, picture.frame);
    gl.viewport(0, 0, width, height);
    gl.enable(gl.SCISSOR_TEST);
    gl.scissor(0, 0, width, height);
    gl.clearColor(...this.background, 1);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    const s = this.splat;
    gl.useProgram(s.program);
    ["order", "places", "shades"].forEach((name, unit) => this.bind(s[name], unit, this[name]));
    gl.uniform1i(s.drawn, this.drawn);
    gl.uniform2f(s.size, width, height);
    gl.bindVertexArray(this.quads);
    gl.drawElementsInstanced(gl.TRIANGLES, 6 * QUADS, gl.UNSIGNED_SHORT, 0, Math.ceil(this.drawn / QUADS));
    gl.disable(gl.SCISSOR_TEST);
    gl.disable(gl.BLEND);
  }

  // A picture onto the window, or the right way up into a frame.
  present(picture, width, height, frame = null) {
    const gl = this.gl, s = this.show;
    gl.bindFramebuffer(gl.FRAMEBUFFER, frame);
    gl.viewport(0, 0, frame ? width : this.canvas.width, frame ? height : this.canvas.height);
    gl.useProgram(s.program);
    this.bind(s.picture, 0, picture.texture);
    gl.uniform2f(s.used, width / picture.width, height / picture.height);
    gl.uniform2f(s.last, (width - 0.5) / picture.width, (height - 0.5) / picture.height);
    gl.uniform1i(s.upright, frame ? 1 : 0);
    gl.bindVertexArray(this.nothing);
    gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
  }

  drawToWindow(camera, lines) {
    const { canvas } = this;
    if (!this.picture || this.picture.width !== canvas.width || this.picture.height !== canvas.height) {
      this.forget(this.picture);
      this.picture = this.newPicture(canvas.width, canvas.height, ...this.format);
    }
    this.draw(camera, this.picture);
    this.present(this.picture, camera.width, camera.height);
    if (lines) this.drawLines(camera);
  }

  drawLines(camera) {
    const gl = this.gl, l = this.lines;
    gl.useProgram(l.program);
    this.setCamera(l, camera);
    gl.uniform4f(l.ink, 1, 0.68, 0.2, 0.85);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA);
    gl.bindVertexArray(this.wires);
    gl.drawArrays(gl.LINES, 0, this.wireCount);
    gl.disable(gl.BLEND);
  }

  // The pixels [height, width, 4] of a camera's picture.
  pixels(camera) {
    const gl = this.gl, { width, height } = camera, out = new Uint8ClampedArray(4 * width * height);
    const picture = this.newPicture(width, height, ...this.format);
    const bytes = this.newPicture(width, height, gl.RGBA8, gl.UNSIGNED_BYTE);
    this.draw(camera, picture);
    this.present(picture, width, height, bytes.frame);
    gl.readPixels(0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, out);
    this.forget(picture);
    this.forget(bytes);
    return out;
  }

  setCamera(p, camera) {
    const gl = this.gl;
    gl.uniformMatrix3fv(p.R, true, camera.R);
    gl.uniform3fv(p.t, camera.t);
    gl.uniform2f(p.focal, camera.fx, camera.fy);
    gl.uniform2f(p.center, camera.cx, camera.cy);
    gl.uniform2f(p.size, camera.width, camera.height);
  }

  bind(place, unit, texture) {
    const gl = this.gl;
    gl.activeTexture(gl.TEXTURE0 + unit);
    gl.bindTexture(gl.TEXTURE_2D, texture);
    gl.uniform1i(place, unit);
  }

  texture(internal, width, height, format, type, data) {
    const gl = this.gl, texture = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, texture);
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    gl.texImage2D(gl.TEXTURE_2D, 0, internal, width, height, 0, format, type, data);
    for (const side of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(gl.TEXTURE_2D, side, gl.CLAMP_TO_EDGE);
    for (const side of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, side, gl.NEAREST);
    return texture;
  }

  target(...textures) {
    const gl = this.gl, frame = gl.createFramebuffer(), places = textures.map((_, i) => gl.COLOR_ATTACHMENT0 + i);
    gl.bindFramebuffer(gl.FRAMEBUFFER, frame);
    textures.forEach((texture, i) => gl.framebufferTexture2D(gl.FRAMEBUFFER, places[i], gl.TEXTURE_2D, texture, 0));
    gl.drawBuffers(places);
    if (gl.checkFramebufferStatus(gl.FRAMEBUFFER) !== gl.FRAMEBUFFER_COMPLETE) {
      throw new Error("this browser's WebGL cannot draw into the textures that are needed");
    }
    return frame;
  }

  newPicture(width, height, internal, type) {
    const gl = this.gl, texture = this.texture(internal, width, height, gl.RGBA, type, null);
    for (const side of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, side, gl.LINEAR);
    return { texture, frame: this.target(texture), width, height };
  }

  forget(picture) {
    if (!picture) return;
    this.gl.deleteFramebuffer(picture.frame);
    this.gl.deleteTexture(picture.texture);
  }

  program(vertex, fragment) {
    const gl = this.gl, program = gl.createProgram(), found = { program };
    for (const [kind, source] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
      if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS) && !gl.isContextLost()) throw new Error(gl.getShaderInfoLog(shader));
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS) && !gl.isContextLost()) throw new Error(gl.getProgramInfoLog(program));
    for (const [kind, get, locate] of [
      [gl.ACTIVE_UNIFORMS, "getActiveUniform", "getUniformLocation"],
      [gl.ACTIVE_ATTRIBUTES, "getActiveAttrib", "getAttribLocation"],
    ]) {
      for (let i = gl.getProgramParameter(program, kind) - 1; i >= 0; i--) {
        const { name } = gl[get](program, i);
        found[name] = gl[locate](program, name);
      }
    }
    return found;
  }
}
