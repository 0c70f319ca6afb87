// Nodes of an octree as places on the Z-order curve, from level to level, and what lies in its leaves.
#pragma once

#include <cstdint>

namespace splat {

// The children of nodes [count], in order, and how many siblings each has, itself included.
//   nodes, occupancy     uint64, int32: bit c of the lowest 8 for child c
//   children, siblings   uint64, uint16: as many as there are bits
void expand_nodes(uint64_t nodes, uint64_t occupancy, int64_t count, uint64_t children, uint64_t siblings);

// The cells of all points, from the leaves they lie in and the rest of each one's place.
//   leaves, counts  uint64, int32 [leaf_count]: points in each leaf, at least 1
//   bits            of the rest of a place, at most 60
//   data            of `size` bytes, which hold the rests, highest bit first; zeros behind the end
//   cells           int32 [sum of counts, 3]
void place_cells(uint64_t leaves, uint64_t counts, int64_t leaf_count, int bits, uint64_t data, int64_t size,
                 uint64_t cells);

}  // namespace splat
