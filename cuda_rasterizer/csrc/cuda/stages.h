// The stages of the CUDA rasterizer, and what they keep between each other. "Row" numbers a Gaussian as one camera sees
// it: camera * N + Gaussian.
#pragma once

#include "cuda/warp.h"
#include "launch.h"
#include "records.h"

namespace splat {

constexpr int PROJECT_THREADS = 256;
// What `project` leaves for `bin`. totals: visible rows, intersections.
struct ProjectScratch {
    unsigned long long* totals;
    uint32_t *block_visible, *block_offsets;  // [blocks + 1]
    uint64_t* keys;                           // [C * N], 32-bit keys for float
    uint32_t* tiles;                          // [C * N] touched by each drawn row
    void* scan;
    size_t scan_bytes;
    int64_t rows, blocks, bytes;
    explicit ProjectScratch(const RenderArguments& a);
};

// An integer in the order of a positive depth: 32 bits for float, 64 for double. All ones: not drawn, behind everything.
SPLAT_HD uint32_t depth_key(float depth) {
    union {
        float number;
        uint32_t bits;
    } u;
    u.number = depth;
    return u.bits;
}
SPLAT_HD uint64_t depth_key(double depth) {
    union {
        double number;
        uint64_t bits;
    } u;
    u.number = depth;
    return u.bits;
}
template <class S> using DepthKey = decltype(depth_key(S(0)));

// tile_span, never inlined: counting and emission of Gaussians without a mask run the same machine code, so that not even
// the rounding of fused multiply-adds can differ between the two.
template <class S> __device__ __noinline__ TileSpan tile_span_once(Footprint<S> f, S reach, TileRect rect, int row) {
    return tile_span(f, reach, rect, row);
}

// Footprint and values of a Gaussian, as a warp of a compositor stages it in shared memory for all its lanes.
template <class S, int CHANNELS> struct alignas(16) Staged {
    Footprint<S> footprint;
    S values[CHANNELS];
    uint32_t row;
};

namespace cuda {
void project(RenderArguments& a);
void count(RenderArguments& a);
int64_t forward_scratch_bytes(const RenderArguments& a);
void bin(const RenderArguments& a);
void rasterize_forward(const RenderArguments& a);
void contribution(const RenderArguments& a);
int64_t gradient_rows(const RenderArguments& a);
int64_t intersection_gradient_floats(const RenderArguments& a);
void rasterize_backward(const RenderArguments& a);
int64_t backward_scratch_bytes(const RenderArguments& a);
void project_backward(const RenderArguments& a);
int64_t loss_scratch_bytes(const LossArguments& a);
void loss(const LossArguments& a);
void adam(const AdamArguments& a);
}  // namespace cuda

}  // namespace splat
