// What the 32 lanes of a warp do together.
#pragma once

#include "launch.h"
#include "variant.h"

namespace splat {

constexpr int WARP = 32;
constexpr unsigned ALL_LANES = 0xffffffffu;

#define SPLAT_DEVICE __device__ __forceinline__

SPLAT_DEVICE int lane_index() { return int(threadIdx.x % WARP); }
SPLAT_DEVICE unsigned lanes_below(int lane) { return (1u << lane) - 1u; }

template <class T> SPLAT_DEVICE T warp_sum(T value) {
    for (int offset = WARP / 2; offset > 0; offset /= 2) value += __shfl_xor_sync(ALL_LANES, value, offset);
    return value;
}

// Sum over this lane and the lanes below it.
SPLAT_DEVICE unsigned warp_inclusive_sum(unsigned value) {
    const int lane = lane_index();
    for (int offset = 1; offset < WARP; offset *= 2) {
        const unsigned below = __shfl_up_sync(ALL_LANES, value, offset);
        if (lane >= offset) value += below;
    }
    return value;
}

// Sums N values over all lanes at once, by halving the values at every step instead of repeating all steps for each
// value: about N + 6 shuffles in place of 5 N. Afterwards values[0] of a lane holds the sum that owned_sum() names.
template <int N, int OFFSET = WARP / 2> struct TransposedSum {
    static constexpr int HALF = (N + 1) / 2;
    template <class S> static SPLAT_DEVICE void run(S* values, int lane) {
        const bool upper = lane & OFFSET;
#pragma unroll
        for (int i = 0; i < HALF; ++i) {
            const S low = values[i];
            if (i + HALF < N) {
                const S high = values[i + HALF];
                values[i] = (upper ? high : low) + __shfl_xor_sync(ALL_LANES, upper ? low : high, OFFSET);
            } else {  // without a partner: both halves have the sum, and only the lower one owns it
                values[i] = low + __shfl_xor_sync(ALL_LANES, low, OFFSET);
            }
        }
        TransposedSum<HALF, OFFSET / 2>::run(values, lane);
    }
    // Which of `present` values this lane owns, counted from `first`; -1 if none, or if a lower lane owns the same.
    static SPLAT_DEVICE int owned(int lane, int first, int present) {
        const bool upper = lane & OFFSET;
        if (N == 1) return upper ? -1 : TransposedSum<1, OFFSET / 2>::owned(lane, first, present);
        return TransposedSum<HALF, OFFSET / 2>::owned(lane, upper ? first + HALF : first,
                                                      upper ? present - HALF : (present < HALF ? present : HALF));
    }
};
template <int N> struct TransposedSum<N, 0> {
    static_assert(N == 1, "at most 32 values");
    template <class S> static SPLAT_DEVICE void run(S*, int) {}
    static SPLAT_DEVICE int owned(int, int first, int present) { return present > 0 ? first : -1; }
};
template <int N> SPLAT_DEVICE int owned_sum(int lane) { return TransposedSum<N>::owned(lane, 0, N); }

}  // namespace splat
