// Reads and writes .spz by @adobe/spz, with arrays of 32-bit floats as the other side.
//   node spz_tool.mjs MODULE read  IN.spz OUT.floats
//   node spz_tool.mjs MODULE write IN.floats OUT.spz VERSION SH1_BITS SH_REST_BITS
// A .floats file: points and degree as floats, then positions, scales, rotations, alphas, colors, sh; axes right-down-forward.
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const [modulePath, verb, input, output, version, sh1Bits, shRestBits] = process.argv.slice(2);
const module = `${modulePath}.mjs`; // the package does not say that it is a module, which Node 18 must be told
copyFileSync(modulePath, module);
const spz = await (await import(pathToFileURL(module))).default();
const RDF = spz.CoordinateSystem.RDF;
const FIELDS = [['positions', 3], ['scales', 3], ['rotations', 4], ['alphas', 1], ['colors', 3]];

if (verb === 'read') {
    const cloud = spz.loadSpzFromBuffer(readFileSync(input), { to: RDF });
    const parts = [Float32Array.of(cloud.numPoints, cloud.shDegree)];
    for (const [name] of FIELDS) parts.push(cloud[name]);
    parts.push(cloud.sh);
    writeFileSync(output, Buffer.concat(parts.map((part) => Buffer.from(part.buffer, part.byteOffset, part.byteLength))));
} else {
    const bytes = readFileSync(input);
    const floats = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
    const [numPoints, shDegree] = floats;
    const cloud = { numPoints, shDegree, antialiased: false, extensions: [] };
    let offset = 2;
    for (const [name, width] of FIELDS) {
        cloud[name] = floats.slice(offset, (offset += width * numPoints));
    }
    cloud.sh = floats.slice(offset);
    const options = { version: +version, from: RDF, sh1Bits: +sh1Bits, shRestBits: +shRestBits };
    writeFileSync(output, spz.saveSpzToBuffer(cloud, options));
}
