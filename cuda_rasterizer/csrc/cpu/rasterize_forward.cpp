// Compositing: one tile per task, front to back, a vector of pixels of one row per step.
//
// A tile's transmittance and colors stay in the first-level cache, its Gaussians come in batches of 64. For each
// Gaussian only the rows and vectors of the tile that its ellipse reaches are visited, and finished rows at the top and
// bottom of the tile are left out. Bound by floating-point throughput: about 30 vector instructions per row and Gaussian.
#include "cpu/parallel_for.h"
#include "cpu/tile.h"

SPLAT_NAMESPACE_BEGIN

namespace {

// Returns the number of pixels times Gaussians that were evaluated. CHANNELS is 0 where the number of channels is known only at run time.
template <class F, int CHANNELS> int64_t composite_tile(const RenderArguments& a, int64_t tile, char* scratch) {
    typedef typename F::Scalar S;
    typedef typename Simd<S>::Vector V;
    constexpr int L = Simd<S>::lanes;
    const TileGrid grid(a);
    const TilePlace place(a, grid, tile);
    const BlendSettings<S> settings = blend_settings<S>(a);
    const S log2_alpha_min = log_base2(settings.alpha_min);
    const int channels = CHANNELS ? CHANNELS : channels_of(a);
    const PixelCenters<S> centers(place);

    S* transmittance = reinterpret_cast<S*>(scratch);
    S* median = transmittance + TILE_PIXELS;
    S* image = median + TILE_PIXELS;             // [channels][TILE_PIXELS]
    S* values = image + channels * TILE_PIXELS;  // [channels][BATCH]
    start_transmittance(place, transmittance);
    for (int i = 0; i < (channels + 1) * TILE_PIXELS; ++i) median[i] = S(0);

    int64_t evaluations = 0;
    TileBatch<F> batch;
    const int64_t end = at<const int64_t>(a.tile_offsets)[tile + 1];
    for (int64_t p = at<const int64_t>(a.tile_offsets)[tile]; p < end; p += BATCH) {
        const LiveRows live = live_rows(transmittance);
        if (live.begin == live.end) break;
        batch.gather(a, place, at<const Intersection>(a.intersections) + p, int(end - p < BATCH ? end - p : BATCH),
                     live, log2_alpha_min, values);
        for (int i = 0; i < batch.count; ++i) {
            const F footprint = batch.footprint(i);
            const FootprintRows<S> rows(footprint, centers);
            S local[CHANNELS ? CHANNELS : 1];  // in registers where the number of channels is fixed
            for (int c = 0; c < CHANNELS; ++c) local[c] = values[c * BATCH + i];
            // Down the rows in the inner loop: what is constant along a column of vectors stays in registers.
            for (int k = batch.vector_begin[i]; k < batch.vector_end[i]; ++k) {
                const V dx = load(centers.x + k * L) - footprint.x;
                for (int row = batch.row_begin[i]; row < batch.row_end[i]; ++row) {
                    const int pixels = row * TILE + k * L;
                    const V before = load(transmittance + pixels);
                    const Blend<V> step = blend(footprint_sample(footprint, rows[row], dx).alpha, before, settings);
                    store(transmittance + pixels, step.transmittance);
                    for (int c = 0; c < channels; ++c) {
                        S* pixel = image + c * TILE_PIXELS + pixels;
                        store(pixel, load(pixel) + step.weight * (CHANNELS ? local[c] : values[c * BATCH + i]));
                    }
                    if (CHANNELS != 3 && a.with_depth) {
                        const auto crosses = (step.weight > S(0)) & (before > S(0.5)) & (step.transmittance <= S(0.5));
                        store(median + pixels, select(crosses, V{} + values[3 * BATCH + i], load(median + pixels)));
                    }
                }
                evaluations += L * larger(0, batch.row_end[i] - batch.row_begin[i]);
            }
        }
    }

    const S* background = at<const S>(a.background) + 3 * place.camera;
    for (int row = 0; row < place.rows; ++row) {
        for (int column = 0; column < place.columns; ++column) {
            const int from = row * TILE + column;
            const int64_t to = place.pixel(a, row, column);
            const S T = magnitude(transmittance[from]);
            at<S>(a.transmittance)[to] = T;
            for (int c = 0; c < 3; ++c) at<S>(a.rgb)[3 * to + c] = image[c * TILE_PIXELS + from] + T * background[c];
            if (CHANNELS == 3) continue;
            const S* more = image + 3 * TILE_PIXELS + from;
            if (a.with_depth) {
                at<S>(a.depth)[to] = *more, at<S>(a.median_depth)[to] = median[from];
                more += TILE_PIXELS;
            }
            for (int64_t c = 0; c < a.features_count; ++c)
                at<S>(a.image_features)[a.features_count * to + c] = more[c * TILE_PIXELS];
        }
    }
    return evaluations;
}

int64_t tile_bytes(const RenderArguments& a) {
    const int64_t numbers = 2 * TILE_PIXELS + channels_of(a) * (TILE_PIXELS + BATCH);
    return numbers * (a.is_double ? 8 : 4);  // a multiple of 64
}

}  // namespace

int64_t forward_scratch_bytes(const RenderArguments& a) {
    const int64_t tiles = a.threads * tile_bytes(a), binning = bin_scratch_bytes(a);
    return tiles > binning ? tiles : binning;
}

template <class S> void rasterize_forward(const RenderArguments& a) {
    parallel_for(a.threads, TileGrid(a).count() * a.cameras, [&](int64_t tile, int worker) {
        char* scratch = at<char>(a.scratch) + worker * tile_bytes(a);
        const int channels = channels_of(a);
        const int64_t evaluations = channels == 3   ? composite_tile<Footprint<S>, 3>(a, tile, scratch)
                                    : channels == 4 ? composite_tile<Footprint<S>, 4>(a, tile, scratch)
                                                    : composite_tile<Footprint<S>, 0>(a, tile, scratch);
        if (a.evaluations) at<int64_t>(a.evaluations)[worker] += evaluations;
    });
}

template void rasterize_forward<float>(const RenderArguments&);
template void rasterize_forward<double>(const RenderArguments&);

SPLAT_NAMESPACE_END
