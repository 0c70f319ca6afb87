// Scans and stable sorts of device arrays: CUB on a GPU (cuda/sort.cu), the standard library in the emulation.
#pragma once

#include "launch.h"

namespace splat {

// out[i] = in[0] + ... + in[i-1].
size_t exclusive_sum_bytes(int64_t count);
void exclusive_sum(void* scratch, size_t bytes, const uint32_t* in, uint32_t* out, int64_t count, cudaStream_t stream);

// Sorts by the lowest `bits` bits of the keys; equal keys keep their order. The sorted values end in `values`; both
// pairs of arrays are overwritten. sorted_keys tells where the keys ended. Key: uint16_t, uint32_t or uint64_t.
template <class Key> size_t stable_sort_bytes(int64_t count);
template <class Key>
void stable_sort(void* scratch, size_t bytes, Key* keys, Key* other_keys, uint32_t* values, uint32_t* other_values,
                 int64_t count, int bits, cudaStream_t stream, Key** sorted_keys);

}  // namespace splat
