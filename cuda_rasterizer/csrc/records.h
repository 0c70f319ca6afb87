// What every backend hands from stage to stage:
//   project -> bin -> rasterize_forward (-> contribution), and back: rasterize_backward -> project_backward.
#pragma once

#include "arguments.h"
#include "math/blend.h"
#include "math/projection.h"
#include "math/sh.h"

SPLAT_NAMESPACE_BEGIN

constexpr int TILE = 16;  // side of a square tile in pixels
constexpr int TILE_PIXELS = TILE * TILE;
constexpr int IMAGE_SIDE_MAX = 1 << 19;  // pixels
static_assert(IMAGE_SIDE_MAX / TILE <= UINT16_MAX, "a TileRect holds 16-bit tile coordinates");

// Tiles that a Gaussian may touch: columns x0..x1-1, rows y0..y1-1.
struct TileRect {
    uint16_t x0, y0, x1, y1;
};
SPLAT_HD int rect_width(const TileRect& rect) { return rect.x1 - rect.x0; }
SPLAT_HD int rect_tiles(const TileRect& rect) { return rect_width(rect) * (rect.y1 - rect.y0); }

constexpr int MASK_TILES = 64;  // a rectangle of so many tiles at most has its touched tiles in a mask

// One primitive as one camera sees it, with a footprint F: a cache line for a Gaussian in float.
template <class F> struct alignas(64) Projected {
    typedef typename F::Scalar S;
    F footprint;
    S depth;
    S rgb[3];
    TileRect rect;
    uint64_t mask;   // which tiles of `rect`, row by row, it really touches, where `rect` has MASK_TILES at most
    uint32_t tiles;  // how many it touches; 0: not drawn
};

struct TileGrid {
    int columns, rows;
    SPLAT_HD explicit TileGrid(const RenderArguments& a)
        : columns(static_cast<int>((a.width + TILE - 1) / TILE)),
          rows(static_cast<int>((a.height + TILE - 1) / TILE)) {}
    SPLAT_HD int64_t count() const { return int64_t(columns) * rows; }
};

template <class T> SPLAT_HD T* at(uint64_t address) { return reinterpret_cast<T*>(address); }

template <class S> SPLAT_HD ProjectionSettings<S> projection_settings(const RenderArguments& a) {
    return {S(a.near), S(a.far), S(a.eps2d), S(a.alpha_min), a.antialiased};
}
template <class S> SPLAT_HD BlendSettings<S> blend_settings(const RenderArguments& a) {
    return {S(a.alpha_max), S(a.alpha_min), S(a.transmittance_min)};
}
template <class S> SPLAT_HD PinholeCamera<S> camera_of(const RenderArguments& a, int64_t camera) {
    return load_camera(at<const S>(a.viewmats) + 16 * camera, at<const S>(a.Ks) + 9 * camera, int(a.width),
                       int(a.height), S(a.frustum_margin));
}
template <class S> SPLAT_HD GaussianParameters<S> gaussian_of(const RenderArguments& a, int64_t i) {
    return {load3(at<const S>(a.means) + 3 * i), load_quat(at<const S>(a.quats) + 4 * i),
            load3(at<const S>(a.log_scales) + 3 * i), at<const S>(a.logit_opacities)[i]};
}

// Values that are composited per Gaussian: rgb, depth if wanted, features.
SPLAT_HD int channels_of(const RenderArguments& a) { return 3 + (a.with_depth ? 1 : 0) + int(a.features_count); }

// The rectangle of tiles around a footprint, and its larger half-extent in pixels; false where it misses the image.
template <class F>
SPLAT_HD bool cover_rect(const RenderArguments& a, const TileGrid& grid, const F& f, typename F::Scalar log2_alpha_min,
                         TileRect& rect, typename F::Scalar& radius) {
    typedef typename F::Scalar S;
    S half_x, half_y, exact_x, exact_y;
    footprint_extent(f, footprint_reach(f, log2_alpha_min), half_x, half_y);
    const S x0 = f.x - half_x, x1 = f.x + half_x, y0 = f.y - half_y, y1 = f.y + half_y;
    if (!(x1 > S(0) && y1 > S(0) && x0 < S(a.width) && y0 < S(a.height))) return false;
    footprint_extent(f, larger(f.log2_opacity - log2_alpha_min, S(0)), exact_x, exact_y);
    radius = larger(exact_x, exact_y);
    rect.x0 = uint16_t(larger(x0, S(0)) / TILE), rect.y0 = uint16_t(larger(y0, S(0)) / TILE);
    rect.x1 = uint16_t(smaller(S(grid.columns), x1 / TILE + 1));
    rect.y1 = uint16_t(smaller(S(grid.rows), y1 / TILE + 1));
    return true;
}

// Tiles first..last-1 of a row of tiles.
struct TileSpan {
    int first, last;
};

// The tiles of one row of the rectangle that the footprint touches at pixel centers. The one function behind counting
// and emission, so that the two can never disagree.
template <class F>
SPLAT_HD TileSpan tile_span(const F& f, typename F::Scalar reach, const TileRect& rect, int row) {
    typedef typename F::Scalar S;
    const S top = S(row * TILE) + S(0.5);
    const Interval<S> x = footprint_columns(f, reach, top, top + S(TILE - 1));
    // Pixel centers are at +0.5; clamping to the rectangle first keeps the conversion to int defined.
    const S low = larger(x.first - S(0.5), S(rect.x0 * TILE)), high = smaller(x.last - S(0.5), S(rect.x1 * TILE - 1));
    if (!(low <= high)) return {0, 0};
    const int first_pixel = int(low) + (S(int(low)) < low ? 1 : 0), last_pixel = int(high);
    if (first_pixel > last_pixel) return {0, 0};
    return {first_pixel / TILE, last_pixel / TILE + 1};
}

// One band of harmonics. Nothing is indexed by a variable, so that Y stays in registers and the loads need not wait for
// one another.
template <int BAND, class S> SPLAT_HD void add_band(const S* rest, const S* Y, Vec3<S>& color) {
    for (int k = BAND * BAND; k < (BAND + 1) * (BAND + 1); ++k) color = color + Y[k] * load3(rest + 3 * (k - 1));
}

// Color in a viewing direction (Kerbl et al. 2023): spherical harmonics plus 1/2, clamped at 0. False where a
// coefficient is not finite.
template <class S> SPLAT_HD bool shade(const RenderArguments& a, int64_t i, const PinholeCamera<S>& camera, S* rgb) {
    S Y[SH_BASES_MAX], length;
    const int degree = int(a.sh_degree);
    const Vec3<S> direction = normalize(load3(at<const S>(a.means) + 3 * i) - camera.position, length);
    sh_basis(degree, direction, Y);
    const S* rest = at<const S>(a.sh_rest) + 3 * a.sh_rest_count * i;
    Vec3<S> color = Y[0] * load3(at<const S>(a.sh0) + 3 * i);
    static_assert(SH_DEGREE_MAX == 4, "a line per band");
    if (degree >= 1) add_band<1>(rest, Y, color);
    if (degree >= 2) add_band<2>(rest, Y, color);
    if (degree >= 3) add_band<3>(rest, Y, color);
    if (degree >= 4) add_band<4>(rest, Y, color);
    rgb[0] = larger(color.x + S(0.5), S(0)), rgb[1] = larger(color.y + S(0.5), S(0)),
    rgb[2] = larger(color.z + S(0.5), S(0));
    return is_finite(color.x) && is_finite(color.y) && is_finite(color.z);
}

// Gradients with respect to one camera as 16 numbers in a row: 9 rotation, 3 translation, fx, fy, cx, cy.
constexpr int CAMERA_NUMBERS = 16;

// The primitive that is drawn. Another one is another footprint, and another projection to it.
template <class S> using Footprint = GaussianFootprint<S>;

SPLAT_NAMESPACE_END
