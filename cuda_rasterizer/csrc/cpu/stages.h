// What the stages of the CPU rasterizer hand to each other:
//   project -> bin -> rasterize_forward, and back: rasterize_backward -> project_backward.
#pragma once

#include "arguments.h"
#include "math/blend.h"
#include "math/projection.h"
#include "math/sh.h"

SPLAT_NAMESPACE_BEGIN

constexpr int TILE = 16;  // pixels; TILE_SIZE of splat/settings.py
constexpr int TILE_PIXELS = TILE * TILE;

// Tiles that a Gaussian may touch: columns x0..x1-1, rows y0..y1-1.
struct TileRect {
    uint16_t x0, y0, x1, y1;
};

// One primitive as one camera sees it, with a footprint F: a cache line for a Gaussian in float.
template <class F> struct alignas(64) Projected {
    typedef typename F::Scalar S;
    F footprint;
    S depth;
    S rgb[3];
    TileRect rect;
    uint64_t mask;  // which tiles of `rect`, row by row, it really touches, where `rect` has 64 at most
};

// One entry of a tile's list. `slot` numbers the Gaussian's pairs, so that the backward can add them up in one order.
struct Pair {
    uint32_t gaussian, slot;
};

struct TileGrid {
    int columns, rows;
    explicit TileGrid(const RenderArguments& a)
        : columns(static_cast<int>((a.width + TILE - 1) / TILE)),
          rows(static_cast<int>((a.height + TILE - 1) / TILE)) {}
    int64_t count() const { return int64_t(columns) * rows; }
};

template <class T> T* at(uint64_t address) { return reinterpret_cast<T*>(address); }

template <class S> ProjectionSettings<S> projection_settings(const RenderArguments& a) {
    return {S(a.near), S(a.far), S(a.eps2d), S(a.alpha_min), a.antialiased};
}
template <class S> BlendSettings<S> blend_settings(const RenderArguments& a) {
    return {S(a.alpha_max), S(a.alpha_min), S(a.transmittance_min)};
}
template <class S> PinholeCamera<S> camera_of(const RenderArguments& a, int64_t camera) {
    return load_camera(at<const S>(a.viewmats) + 16 * camera, at<const S>(a.Ks) + 9 * camera, int(a.width),
                       int(a.height), S(a.frustum_margin));
}
template <class S> GaussianParameters<S> gaussian_of(const RenderArguments& a, int64_t i) {
    return {load3(at<const S>(a.means) + 3 * i), load_quat(at<const S>(a.quats) + 4 * i),
            load3(at<const S>(a.log_scales) + 3 * i), at<const S>(a.logit_opacities)[i]};
}

// Values that are composited per Gaussian: rgb, depth if wanted, features.
inline int channels_of(const RenderArguments& a) { return 3 + (a.with_depth ? 1 : 0) + int(a.features_count); }

// Calls visit(row, first, last) for every row of tiles with the tiles first..last-1 that the footprint touches at
// pixel centres. The one function behind counting and emission, so that the two can never disagree.
template <class F, class Visit>
void visit_tiles(const F& f, typename F::Scalar reach, const TileRect& rect, const Visit& visit) {
    typedef typename F::Scalar S;
    for (int row = rect.y0; row < rect.y1; ++row) {
        const S top = S(row * TILE) + S(0.5);
        const Interval<S> x = footprint_columns(f, reach, top, top + S(TILE - 1));
        // Pixel centres are at +0.5; clamping to the rectangle first keeps the conversion to int defined.
        const S low = larger(x.first - S(0.5), S(rect.x0 * TILE)),
                high = smaller(x.last - S(0.5), S(rect.x1 * TILE - 1));
        if (!(low <= high)) continue;
        const int first_pixel = int(low) + (S(int(low)) < low ? 1 : 0), last_pixel = int(high);
        if (first_pixel <= last_pixel) visit(row, first_pixel / TILE, last_pixel / TILE + 1);
    }
}

// Calls visit(tile) for every tile that a projected Gaussian touches, in row order.
template <class F, class Visit>
void visit_pairs(const Projected<F>& p, typename F::Scalar log2_alpha_min, const TileGrid& grid, const Visit& visit) {
    const int width = p.rect.x1 - p.rect.x0, height = p.rect.y1 - p.rect.y0;
    if (width * height <= 64) {
        for (uint64_t mask = p.mask; mask; mask &= mask - 1) {
            const int bit = __builtin_ctzll(mask), row = bit / width;
            visit(int64_t(p.rect.y0 + row) * grid.columns + p.rect.x0 + (bit - row * width));
        }
    } else {
        visit_tiles(p.footprint, footprint_reach(p.footprint, log2_alpha_min), p.rect,
                    [&](int row, int first, int last) {
                        for (int column = first; column < last; ++column) visit(int64_t(row) * grid.columns + column);
                    });
    }
}

// The primitive that is drawn. Another one is another footprint, and another projection to it.
template <class S> using Footprint = GaussianFootprint<S>;

// The stages. S is float or double.
template <class S> int64_t project(const RenderArguments& a);
template <class S> void bin(const RenderArguments& a);
int64_t bin_scratch_bytes(const RenderArguments& a);
template <class S> void rasterize_forward(const RenderArguments& a);
template <class S> void rasterize_backward(const RenderArguments& a);
template <class S> void project_backward(const RenderArguments& a);
int64_t forward_scratch_bytes(const RenderArguments& a);
int64_t backward_scratch_bytes(const RenderArguments& a);
int64_t project_backward_scratch_bytes(const RenderArguments& a);

SPLAT_NAMESPACE_END
