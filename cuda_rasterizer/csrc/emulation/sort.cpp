// cuda/sort.h without CUB.
#include "cuda/sort.h"

#include <algorithm>
#include <vector>

namespace splat {

size_t exclusive_sum_bytes(int64_t) { return 1; }

void exclusive_sum(void*, size_t, const uint32_t* in, uint32_t* out, int64_t count, cudaStream_t) {
    uint32_t total = 0;
    for (int64_t i = 0; i < count; ++i) {
        const uint32_t n = in[i];
        out[i] = total;
        total += n;
    }
}

template <class Key> size_t stable_sort_bytes(int64_t) { return 1; }

template <class Key>
void stable_sort(void*, size_t, Key* keys, Key* other_keys, uint32_t* values, uint32_t* other_values, int64_t count,
                 int bits, cudaStream_t, Key** sorted_keys) {
    const Key mask = bits >= int(sizeof(Key)) * 8 ? Key(~Key(0)) : Key((Key(1) << bits) - 1);
    std::vector<int64_t> order(size_t(count), 0);
    for (int64_t i = 0; i < count; ++i) order[size_t(i)] = i;
    std::stable_sort(order.begin(), order.end(),
                     [&](int64_t a, int64_t b) { return (keys[a] & mask) < (keys[b] & mask); });
    for (int64_t i = 0; i < count; ++i)
        other_keys[i] = keys[order[size_t(i)]], other_values[i] = values[order[size_t(i)]];
    std::copy(other_values, other_values + count, values);
    std::fill(keys, keys + count, Key(0x5555));  // nobody may rely on what is left here
    *sorted_keys = other_keys;
}

#define SPLAT_SORT(Key)                              \
    template size_t stable_sort_bytes<Key>(int64_t); \
    template void stable_sort<Key>(void*, size_t, Key*, Key*, uint32_t*, uint32_t*, int64_t, int, cudaStream_t, Key**);
SPLAT_SORT(uint16_t)
SPLAT_SORT(uint32_t)
SPLAT_SORT(uint64_t)

}  // namespace splat
