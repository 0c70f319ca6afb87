// What each Gaussian contributes: one tile per task, composited once more as by rasterize_forward.
//
// In place of colors, every Gaussian's blend weights are summed over the tile's pixels in vector registers and written to
// its intersection's own place; a second pass adds the intersections in a fixed order, so the result does not depend on the number of
// threads. The finished image tells what lies behind a Gaussian, and so what the pixel would be without it. About 35
// vector instructions per row and Gaussian: bound by floating-point throughput.
#include "cpu/parallel_for.h"
#include "cpu/tile.h"

SPLAT_NAMESPACE_BEGIN

namespace {

template <class F, bool WEIGHTED> struct TileContribution {
    typedef typename F::Scalar S;
    typedef typename Simd<S>::Vector V;
    static constexpr int L = Simd<S>::lanes;

    const RenderArguments& a;
    S *transmittance, *behind, *pixel_weights, *values;

    TileContribution(const RenderArguments& arguments, char* scratch) : a(arguments) {
        transmittance = reinterpret_cast<S*>(scratch);
        behind = transmittance + TILE_PIXELS;      // [3][TILE_PIXELS]
        pixel_weights = behind + 3 * TILE_PIXELS;  // [TILE_PIXELS]
        values = pixel_weights + TILE_PIXELS;      // [3][BATCH]
    }

    void load_pixels(const TilePlace& place) {
        memset(behind, 0, sizeof(S) * 4 * TILE_PIXELS);
        start_transmittance(place, transmittance);
        for (int row = 0; row < place.rows; ++row) {
            for (int column = 0; column < place.columns; ++column) {
                const int to = row * TILE + column;
                const int64_t from = place.pixel(a, row, column);
                for (int c = 0; c < 3; ++c) behind[c * TILE_PIXELS + to] = at<const S>(a.rgb)[3 * from + c];
                if (WEIGHTED) pixel_weights[to] = at<const S>(a.pixel_weights)[from];
            }
        }
    }

    void run(int64_t tile) {
        const TileGrid grid(a);
        const TilePlace place(a, grid, tile);
        const BlendSettings<S> settings = blend_settings<S>(a);
        const S log2_alpha_min = log_base2(settings.alpha_min);
        const PixelCenters<S> centers(place);
        const int64_t begin = at<const int64_t>(a.tile_offsets)[tile],
                      end = at<const int64_t>(a.tile_offsets)[tile + 1];
        if (begin == end) return;
        load_pixels(place);

        TileBatch<F> batch;
        for (int64_t p = begin; p < end; p += BATCH) {
            const LiveRows live = live_rows(transmittance);
            const Intersection* intersections = at<const Intersection>(a.intersections) + p;
            const int count = int(end - p < BATCH ? end - p : BATCH);
            if (live.begin == live.end) {
                for (int i = 0; i < count; ++i)
                    memset(at<S>(a.intersection_gradients) + int64_t(intersections[i].slot) * CONTRIBUTIONS, 0,
                           CONTRIBUTIONS * sizeof(S));
                continue;
            }
            batch.gather(a, place, intersections, count, live, log2_alpha_min, values);
            for (int i = 0; i < count; ++i) {
                const F footprint = batch.footprint(i);
                const FootprintRows<S> rows(footprint, centers);
                const S color[3] = {values[i], values[BATCH + i], values[2 * BATCH + i]};
                V weight_sum{}, weight_max{}, pixels{}, change_sum{};
                for (int k = batch.vector_begin[i]; k < batch.vector_end[i]; ++k) {
                    const V dx = load(centers.x + k * L) - footprint.x;
                    for (int row = batch.row_begin[i]; row < batch.row_end[i]; ++row) {
                        const int place_in_tile = row * TILE + k * L;
                        const V before = load(transmittance + place_in_tile);
                        const Blend<V> step = blend(footprint_sample(footprint, rows[row], dx).alpha, before, settings);
                        store(transmittance + place_in_tile, step.transmittance);
                        V change = {};
                        for (int c = 0; c < 3; ++c) {
                            S* pixel = behind + c * TILE_PIXELS + place_in_tile;
                            const V rest = load(pixel) - step.weight * color[c];
                            store(pixel, rest);
                            const V d = removal_change(step, V{} + color[c], rest);
                            change += d * d;
                        }
                        V weight = step.weight;
                        if (WEIGHTED) {
                            const V factor = load(pixel_weights + place_in_tile);
                            weight *= factor, change *= factor;
                        }
                        weight_sum += weight;
                        weight_max = select(weight > weight_max, weight, weight_max);
                        pixels += select(weight > S(0), V{} + S(1), V{});
                        change_sum += change;
                    }
                }
                S* out = at<S>(a.intersection_gradients) + int64_t(batch.slot[i]) * CONTRIBUTIONS;
                out[0] = sum(weight_sum), out[1] = largest(weight_max), out[2] = sum(pixels), out[3] = sum(change_sum);
            }
        }
    }

    static S largest(V v) {
        S most = v[0];
        for (int i = 1; i < L; ++i) most = larger(most, S(v[i]));
        return most;
    }
};

// Adds up the intersections of every Gaussian, camera by camera.
template <class S> void add_intersections(const RenderArguments& a) {
    const int64_t* offsets = at<const int64_t>(a.intersection_offsets);
    parallel_chunks(a.threads, a.gaussians, 1024, [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i) {
            double weight = 0, change = 0;
            S most = S(0);
            int64_t pixels = 0;
            for (int64_t camera = 0; camera < a.cameras; ++camera) {
                const int64_t row = camera * a.gaussians + i;
                for (int64_t slot = offsets[row]; slot < offsets[row + 1]; ++slot) {
                    const S* intersection = at<const S>(a.intersection_gradients) + slot * CONTRIBUTIONS;
                    weight += double(intersection[0]), change += double(intersection[3]);
                    most = larger(most, intersection[1]), pixels += int64_t(intersection[2]);
                }
            }
            at<double>(a.weight_sums)[i] = weight, at<double>(a.removal_changes)[i] = change;
            at<S>(a.weight_maxima)[i] = most, at<int64_t>(a.pixel_counts)[i] = pixels;
        }
    });
}

}  // namespace

template <class S> void contribution(const RenderArguments& a) {
    // No more than the scratch of rasterize_forward, which is free by now.
    const int64_t bytes = (5 * TILE_PIXELS + 3 * BATCH) * int64_t(sizeof(S));  // of a worker; a multiple of 64
    static_assert((5 * TILE_PIXELS + 3 * BATCH) % 16 == 0, "workers' scratch begins on cache lines");
    parallel_for(a.threads, TileGrid(a).count() * a.cameras, [&](int64_t tile, int worker) {
        char* scratch = at<char>(a.scratch) + worker * bytes;
        if (a.pixel_weights)
            TileContribution<Footprint<S>, true>(a, scratch).run(tile);
        else
            TileContribution<Footprint<S>, false>(a, scratch).run(tile);
    });
    add_intersections<S>(a);
}

template void contribution<float>(const RenderArguments&);
template void contribution<double>(const RenderArguments&);

SPLAT_NAMESPACE_END
