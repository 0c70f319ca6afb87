// What compositing and its derivative share: the pixels of one tile, and its Gaussians in batches laid out for vectors.
#pragma once

#include "cpu/simd.h"
#include "cpu/stages.h"

SPLAT_NAMESPACE_BEGIN

constexpr int BATCH = 64;  // Gaussians gathered at a time: their arrays stay in the first-level cache

// Where a tile lies in the image.
struct TilePlace {
    int64_t camera, index;      // index over all cameras
    int x0, y0, columns, rows;  // pixels; columns and rows inside the image
    TilePlace(const RenderArguments& a, const TileGrid& grid, int64_t tile) : index(tile) {
        camera = tile / grid.count();
        const int64_t local = tile - camera * grid.count();
        x0 = int(local % grid.columns) * TILE, y0 = int(local / grid.columns) * TILE;
        columns = int(a.width) - x0 < TILE ? int(a.width) - x0 : TILE;
        rows = int(a.height) - y0 < TILE ? int(a.height) - y0 : TILE;
    }
    int64_t pixel(const RenderArguments& a, int row, int column) const {
        return (camera * a.height + y0 + row) * a.width + x0 + column;
    }
};

// Coordinates of the tile's pixel centers.
template <class S> struct PixelCenters {
    alignas(64) S x[TILE], y[TILE];
    explicit PixelCenters(const TilePlace& place) {
        for (int i = 0; i < TILE; ++i) x[i] = S(place.x0 + i) + S(0.5), y[i] = S(place.y0 + i) + S(0.5);
    }
};

// The rows of the tile as one footprint sees them, computed as vectors.
template <class S> struct FootprintRows {
    alignas(64) S u[TILE], log2_peak[TILE];
    template <class F> FootprintRows(const F& footprint, const PixelCenters<S>& centers) {
        constexpr int L = Simd<S>::lanes;
        for (int row = 0; row < TILE; row += L) {
            const auto rows = footprint_row(footprint, load(centers.y + row) - footprint.y);
            store(u + row, rows.u);
            store(log2_peak + row, rows.log2_peak);
        }
    }
    FootprintRow<S> operator[](int row) const { return {u[row], log2_peak[row]}; }
};

// Pixels outside the image start as finished, so that nothing is ever drawn there.
template <class S> void start_transmittance(const TilePlace& place, S* transmittance) {
    for (int row = 0; row < TILE; ++row)
        for (int column = 0; column < TILE; ++column)
            transmittance[row * TILE + column] = row < place.rows && column < place.columns ? S(1) : S(-1);
}

// The rows from the first to behind the last that have an unfinished pixel; begin == end when there is none.
struct LiveRows {
    int begin, end;
};
template <class S> LiveRows live_rows(const S* transmittance) {
    constexpr int L = Simd<S>::lanes;
    LiveRows live = {TILE, TILE};
    for (int row = 0; row < TILE; ++row) {
        typename Simd<S>::Mask unfinished = load(transmittance + row * TILE) > S(0);
        for (int column = L; column < TILE; column += L) unfinished |= load(transmittance + row * TILE + column) > S(0);
        if (!any(unfinished)) continue;
        if (live.begin == TILE) live.begin = row;
        live.end = row + 1;
    }
    return live;
}

// Up to BATCH Gaussians of a tile, as structure of arrays. Rows and vectors outside [row_begin, row_end) and
// [lane_begin, lane_end) cannot reach alpha_min: the ranges are exact for the ellipse cut by the tile.
template <class F> struct TileBatch {
    typedef typename F::Scalar S;
    alignas(64) S fields[F::FIELDS][BATCH];
    alignas(64) S row_first[BATCH], row_last[BATCH], column_first[BATCH], column_last[BATCH];
    int row_begin[BATCH], row_end[BATCH], vector_begin[BATCH], vector_end[BATCH];
    uint32_t gaussian[BATCH], slot[BATCH];
    int count;

    F footprint(int i) const {
        static_assert(sizeof(F) == F::FIELDS * sizeof(S), "a footprint is FIELDS numbers");
        S numbers[F::FIELDS];
        for (int k = 0; k < F::FIELDS; ++k) numbers[k] = fields[k][i];
        F f;
        memcpy(&f, numbers, sizeof f);
        return f;
    }

    // values: [channels][BATCH] receives rgb, depth if wanted, features.
    void gather(const RenderArguments& a, const TilePlace& place, const Intersection* intersections,
                int intersection_count, const LiveRows& live, S log2_alpha_min, S* values) {
        constexpr int L = Simd<S>::lanes;
        const Projected<F>* projected = at<const Projected<F>>(a.projected) + place.camera * a.gaussians;
        const S* features =
            at<const S>(a.features) + (a.features_per_camera ? place.camera * a.gaussians * a.features_count : 0);
        count = intersection_count;
        for (int i = 0; i < count; ++i) {
            const uint32_t g = intersections[i].gaussian;
            if (i + 8 < count) __builtin_prefetch(&projected[intersections[i + 8].gaussian]);
            const Projected<F>& p = projected[g];
            gaussian[i] = g, slot[i] = intersections[i].slot;
            S numbers[F::FIELDS];
            memcpy(numbers, &p.footprint, sizeof numbers);
            for (int k = 0; k < F::FIELDS; ++k) fields[k][i] = numbers[k];
            values[i] = p.rgb[0], values[BATCH + i] = p.rgb[1], values[2 * BATCH + i] = p.rgb[2];
            S* more = values + 3 * BATCH + i;
            if (a.with_depth) *more = p.depth, more += BATCH;
            for (int64_t k = 0; k < a.features_count; ++k) more[k * BATCH] = features[g * a.features_count + k];
        }
        const S left = S(place.x0) + S(0.5), top = S(place.y0) + S(0.5);
        for (int i = 0; i < count; ++i) {  // branchless: the compiler makes vectors of it
            const F f = footprint(i);
            const S reach = footprint_reach(f, log2_alpha_min);
            const Interval<S> rows = footprint_rows(f, reach, left, left + S(TILE - 1));
            const Interval<S> columns = footprint_columns(f, reach, top, top + S(TILE - 1));
            row_first[i] = clamp(rows.first - top, S(-1), S(TILE)),
            row_last[i] = clamp(rows.last - top, S(-1), S(TILE));
            column_first[i] = clamp(columns.first - left, S(-1), S(TILE));
            column_last[i] = clamp(columns.last - left, S(-1), S(TILE));
        }
        for (int i = 0; i < count; ++i) {
            const int last_row = int(row_last[i] + 1) - 1,
                      last_column = int(column_last[i] + 1) - 1;  // floor from -1 up
            row_begin[i] = TILE - int(S(TILE) - row_first[i]);    // ceiling
            row_end[i] = smaller(last_row + 1, live.end);
            row_begin[i] = larger(row_begin[i], live.begin);
            const int first_column = TILE - int(S(TILE) - column_first[i]);
            vector_begin[i] = larger(first_column, 0) / L;
            vector_end[i] = last_column < 0 ? 0 : smaller(last_column, TILE - 1) / L + 1;
        }
    }
};

SPLAT_NAMESPACE_END
