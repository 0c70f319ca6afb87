// What compositing and its derivative share on the GPU: a warp and its 8 x 8 pixels, and the list of Gaussians that comes
// past them.
//
// A tile of 16 x 16 is four sub-tiles, one per warp, two pixels per lane. The four warps walk the tile's list on their
// own: each leaves when its own pixels are finished, and nobody waits at a barrier.
#pragma once

#include "cuda/stages.h"

namespace splat {

constexpr int SUB_TILE = 8, SUB_TILES = 4, PIXELS = 2;  // PIXELS: of a lane, 4 rows apart
static_assert(SUB_TILE * SUB_TILE == WARP * PIXELS && TILE == 2 * SUB_TILE, "a warp's pixels make a quarter of a tile");

template <class S> struct SubTile {
    int64_t tile, camera;  // tile counts over all cameras
    int x0, y0;            // its first pixel
    int x, y;              // this lane's first pixel
    int tile_column, tile_row;

    SPLAT_DEVICE SubTile(const RenderArguments& a, int64_t tile_index, int sub_tile) : tile(tile_index) {
        const TileGrid grid(a);
        camera = tile / grid.count();
        const int local = int(tile - camera * grid.count());
        tile_column = local % grid.columns, tile_row = local / grid.columns;
        x0 = tile_column * TILE + sub_tile % 2 * SUB_TILE, y0 = tile_row * TILE + sub_tile / 2 * SUB_TILE;
        x = x0 + lane_index() % SUB_TILE, y = y0 + lane_index() / SUB_TILE;
    }
    SPLAT_DEVICE int row(int k) const { return y + k * (SUB_TILE / PIXELS); }
    SPLAT_DEVICE bool inside(const RenderArguments& a, int k) const { return x < a.width && row(k) < a.height; }
    SPLAT_DEVICE int64_t pixel(const RenderArguments& a, int k) const {
        return (camera * a.height + row(k)) * a.width + x;
    }
    SPLAT_DEVICE bool touched_by(const Footprint<S>& f, S log2_alpha_min) const {
        const S left = S(x0) + S(0.5), top = S(y0) + S(0.5);
        return footprint_touches(f, footprint_reach(f, log2_alpha_min), left, left + S(SUB_TILE - 1), top,
                                 top + S(SUB_TILE - 1));
    }
};

// What the compositors compare with, in their own precision: from the host, so that no loop converts it.
template <class S> struct Thresholds {
    BlendSettings<S> blend;
    S log2_alpha_min;
    explicit Thresholds(const RenderArguments& a)
        : blend(blend_settings<S>(a)), log2_alpha_min(log_base2(blend.alpha_min)) {}
};

// The list of a tile, 32 entries at a time, fetched two steps ahead: while a warp works on one group, the records of the
// next are on their way, and the indices of the one after that.
template <class S> class TileList {
  public:
    SPLAT_DEVICE TileList(const RenderArguments& a, int64_t tile)
        : projected_(at<const Projected<Footprint<S>>>(a.projected)) {
        const int64_t first = at<const int64_t>(a.tile_offsets)[tile],
                      end = at<const int64_t>(a.tile_offsets)[tile + 1];
        entry_ = at<const uint32_t>(a.intersections) + first + lane_index();
        left_ = int(end - first);
        own_ = left_ - lane_index();
        next_row_ = row_at(0);
        fetch(next_row_);
        next_row_ = row_at(WARP);
    }
    // The same for all lanes.
    SPLAT_DEVICE bool done() const { return left_ <= 0; }

    // This lane's entry of the present group; goes on to the next group.
    SPLAT_DEVICE bool take(Footprint<S>& footprint, S& depth, S (&rgb)[3], uint32_t& row) {
        const bool exists = own_ > 0;
        footprint = footprint_, depth = depth_, row = row_;
        rgb[0] = rgb_[0], rgb[1] = rgb_[1], rgb[2] = rgb_[2];
        entry_ += WARP, left_ -= WARP, own_ -= WARP;
        fetch(next_row_);
        next_row_ = row_at(WARP);
        return exists;
    }

  private:
    SPLAT_DEVICE uint32_t row_at(int ahead) const { return own_ > ahead ? entry_[ahead] : 0; }
    SPLAT_DEVICE void fetch(uint32_t row) {
        row_ = row;
        if (own_ <= 0) return;
        const Projected<Footprint<S>>& p = projected_[row];
        footprint_ = p.footprint, depth_ = p.depth;
        rgb_[0] = p.rgb[0], rgb_[1] = p.rgb[1], rgb_[2] = p.rgb[2];
    }
    const Projected<Footprint<S>>* projected_;
    const uint32_t* entry_;  // this lane's of the present group
    int left_, own_;         // entries from the group's first on, and from this lane's own on
    uint32_t next_row_, row_ = 0;
    Footprint<S> footprint_ = {};
    S depth_ = S(0), rgb_[3] = {};
};

// A finished pixel's transmittance is negative (math/blend.h); true when that holds for all pixels of the warp.
template <class S> SPLAT_DEVICE bool warp_finished(const S (&transmittance)[PIXELS]) {
    return __all_sync(ALL_LANES, !(transmittance[0] > S(0)) && !(transmittance[1] > S(0)));
}

template <class S> SPLAT_DEVICE const S* features_of(const RenderArguments& a, uint32_t row) {
    const int64_t feature_row = a.features_per_camera ? int64_t(row) : int64_t(row) % a.gaussians;
    return at<const S>(a.features) + feature_row * a.features_count;
}

}  // namespace splat
