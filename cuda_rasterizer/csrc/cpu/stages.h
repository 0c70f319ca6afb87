// The stages of the CPU rasterizer, and how its lists of intersections are walked.
#pragma once

#include "records.h"

SPLAT_NAMESPACE_BEGIN

// One entry of a tile's list. `slot` numbers the Gaussian's intersections, so that the backward can add them up in one order.
struct Intersection {
    uint32_t gaussian, slot;
};

// Calls visit(row, first, last) for every row of tiles with the tiles first..last-1 that the footprint touches.
template <class F, class Visit>
void visit_tiles(const F& f, typename F::Scalar reach, const TileRect& rect, const Visit& visit) {
    for (int row = rect.y0; row < rect.y1; ++row) {
        const TileSpan span = tile_span(f, reach, rect, row);
        if (span.first < span.last) visit(row, span.first, span.last);
    }
}

// Calls visit(tile) for every tile that a projected Gaussian touches, in row order.
template <class F, class Visit>
void visit_intersections(const Projected<F>& p, typename F::Scalar log2_alpha_min, const TileGrid& grid,
                         const Visit& visit) {
    const int width = rect_width(p.rect);
    if (rect_tiles(p.rect) <= MASK_TILES) {
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

// The stages. S is float or double.
template <class S> void project(RenderArguments& a);
template <class S> void bin(const RenderArguments& a);
int64_t bin_scratch_bytes(const RenderArguments& a);
template <class S> void rasterize_forward(const RenderArguments& a);
template <class S> void contribution(const RenderArguments& a);
template <class S> void rasterize_backward(const RenderArguments& a);
template <class S> void project_backward(const RenderArguments& a);
int64_t forward_scratch_bytes(const RenderArguments& a);
int64_t backward_scratch_bytes(const RenderArguments& a);
int64_t project_backward_scratch_bytes(const RenderArguments& a);

SPLAT_NAMESPACE_END
