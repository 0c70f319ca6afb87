// What runs beside the page: decoding, sorting, looking for surfaces. `port` is the worker itself, or stands in for it.

function serve(port) {
  let scene = null, sorter = null;
  const answer = {
    decode({ text, length }) {
      const decoded = decodeScene(text, length, share => port.postMessage({ progress: share }));
      scene = decoded;
      sorter = new DepthSorter(scene.means);
      const { scales, opacity, ...sent } = decoded;
      const given = { ...sent, means: scene.means.slice() };
      port.postMessage({ scene: given }, [given.means.buffer, given.geometry.buffer, given.look.buffer, given.harmonics.buffer]);
    },
    sort({ view, near, buffer }) {
      const order = new Uint32Array(buffer), drawn = sorter.sort(view, near, order);
      port.postMessage({ sorted: { buffer, drawn, view } }, [buffer]);
    },
    pick({ camera, near, x, y, id }) {
      port.postMessage({ picked: { id, depth: pickDepth(scene, camera, near, x, y) } });
    },
  };
  port.onmessage = event => {
    try {
      answer[event.data.what](event.data);
    } catch (error) {
      port.postMessage({ failed: String(error && error.message || error), damaged: !scene });
    }
  };
}
