// The derivative of compositing: one tile per task, replayed front to back exactly as it was composited.
//
// Each pixel knows from its final color the sum of everything that its Gaussians contribute to the loss; subtracting
// what lies in front leaves what lies behind, so no second direction and no per-pixel lists are needed. A Gaussian's
// gradients are summed over the tile in vector registers and written to its intersection's own place; project_backward adds the
// intersections in a fixed order, so the result does not depend on the number of threads. About 45 vector instructions per row
// and Gaussian: bound by floating-point throughput.
#include <cstring>

#include "cpu/parallel_for.h"
#include "cpu/tile.h"

SPLAT_NAMESPACE_BEGIN

namespace {

template <class F, int CHANNELS, bool ABSOLUTE> struct TileBackward {
    typedef typename F::Scalar S;
    typedef typename Simd<S>::Vector V;
    static constexpr int L = Simd<S>::lanes;

    const RenderArguments& a;
    const int channels;
    S *transmittance, *remaining, *v_median, *v_image, *values;
    V* v_values;  // [channels] sums over the tile, for one Gaussian

    TileBackward(const RenderArguments& arguments, char* scratch)
        : a(arguments), channels(CHANNELS ? CHANNELS : channels_of(arguments)) {
        v_values = reinterpret_cast<V*>(scratch);
        transmittance = reinterpret_cast<S*>(v_values + channels);
        remaining = transmittance + TILE_PIXELS;
        v_median = remaining + TILE_PIXELS;
        v_image = v_median + TILE_PIXELS;           // [channels][TILE_PIXELS]
        values = v_image + channels * TILE_PIXELS;  // [channels][BATCH]
    }

    // Reads the gradients with respect to the tile's pixels, and what all Gaussians together contribute to the loss there.
    void load_pixels(const TilePlace& place) {
        memset(remaining, 0, sizeof(S) * (2 + channels) * TILE_PIXELS);
        start_transmittance(place, transmittance);
        for (int row = 0; row < place.rows; ++row) {
            for (int column = 0; column < place.columns; ++column) {
                const int to = row * TILE + column;
                const int64_t from = place.pixel(a, row, column);
                const S T = at<const S>(a.transmittance)[from];
                S total = S(0), v_T = a.v_alpha ? -at<const S>(a.v_alpha)[from] : S(0);
                if (a.v_rgb) {
                    for (int c = 0; c < 3; ++c) {
                        const S v = at<const S>(a.v_rgb)[3 * from + c];
                        v_image[c * TILE_PIXELS + to] = v;
                        // The image already holds T * background, which is what v_T * T would add for it.
                        total += v * at<const S>(a.rgb)[3 * from + c];
                    }
                }
                if (CHANNELS != 3) {
                    S* more = v_image + 3 * TILE_PIXELS + to;
                    if (a.with_depth) {
                        if (a.v_depth) {
                            *more = at<const S>(a.v_depth)[from];
                            total += *more * at<const S>(a.depth)[from];
                        }
                        if (a.v_median_depth) v_median[to] = at<const S>(a.v_median_depth)[from];
                        more += TILE_PIXELS;
                    }
                    if (a.v_image_features) {
                        for (int64_t c = 0; c < a.features_count; ++c) {
                            const S v = at<const S>(a.v_image_features)[a.features_count * from + c];
                            more[c * TILE_PIXELS] = v;
                            total += v * at<const S>(a.image_features)[a.features_count * from + c];
                        }
                    }
                }
                remaining[to] = total + v_T * T;
            }
        }
    }

    void run(int64_t tile) {
        const TileGrid grid(a);
        const TilePlace place(a, grid, tile);
        const BlendSettings<S> settings = blend_settings<S>(a);
        const S log2_alpha_min = log_base2(settings.alpha_min);
        const int floats = F::MOMENTS + channels + (ABSOLUTE ? 2 : 0);
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
                    memset(at<S>(a.intersection_gradients) + int64_t(intersections[i].slot) * floats, 0,
                           floats * sizeof(S));
                continue;
            }
            batch.gather(a, place, intersections, count, live, log2_alpha_min, values);
            for (int i = 0; i < count; ++i) {
                const F footprint = batch.footprint(i);
                V local[CHANNELS ? CHANNELS : 1];
                V* v_value = CHANNELS ? local : v_values;
                const FootprintSlopes<S> slopes = footprint_slopes(footprint);
                FootprintMoments<V> moments{};
                V abs_x{}, abs_y{};
                S value[CHANNELS ? CHANNELS : 1];  // in registers where the number of channels is fixed
                for (int c = 0; c < CHANNELS; ++c) value[c] = values[c * BATCH + i];
                for (int c = 0; c < channels; ++c) v_value[c] = V{};
                for (int k = batch.vector_begin[i]; k < batch.vector_end[i]; ++k) {
                    const V dx = load(centers.x + k * L) - footprint.x;
                    for (int row = batch.row_begin[i]; row < batch.row_end[i]; ++row) {
                        const S dy = centers.y[row] - footprint.y;
                        const FootprintRow<S> line = footprint_row(footprint, dy);
                        const int pixels = row * TILE + k * L;
                        const V before = load(transmittance + pixels);
                        const FootprintSample<V> sample = footprint_sample(footprint, line, dx);
                        const Blend<V> step = blend(sample.alpha, before, settings);
                        store(transmittance + pixels, step.transmittance);
                        V dot{};
                        for (int c = 0; c < channels; ++c) {
                            const V v = load(v_image + c * TILE_PIXELS + pixels);
                            dot += v * (CHANNELS ? value[c] : values[c * BATCH + i]);
                            v_value[c] += step.weight * v;
                        }
                        if (CHANNELS != 3 && a.with_depth) {
                            const auto crosses =
                                (step.weight > S(0)) & (before > S(0.5)) & (step.transmittance <= S(0.5));
                            v_value[3] += select(crosses, load(v_median + pixels), V{});
                        }
                        const V behind = load(remaining + pixels) - step.weight * dot;
                        store(remaining + pixels, behind);
                        const V v_sigma = blend_vjp(step, sample.alpha, dot, behind, settings);
                        moments.add(v_sigma, sample, dy);
                        if (ABSOLUTE) add_absolute_gradient(slopes, sample, v_sigma, dy, abs_x, abs_y);
                    }
                }
                S* out = at<S>(a.intersection_gradients) + int64_t(batch.slot[i]) * floats;
                V sums[F::MOMENTS];
                memcpy(sums, &moments, sizeof sums);
                for (int k = 0; k < F::MOMENTS; ++k) *out++ = sum(sums[k]);
                for (int c = 0; c < channels; ++c) *out++ = sum(v_value[c]);
                if (ABSOLUTE) {
                    out[0] = sum(abs_x);
                    out[1] = sum(abs_y);
                }
            }
        }
    }
};

int64_t tile_bytes(const RenderArguments& a) {
    const int64_t channels = channels_of(a), numbers = 3 * TILE_PIXELS + channels * (TILE_PIXELS + BATCH);
    return numbers * (a.is_double ? 8 : 4) + channels * SPLAT_VECTOR_BYTES + 64;
}

template <class S, bool ABSOLUTE> void run_tile(const RenderArguments& a, int64_t tile, char* scratch) {
    switch (channels_of(a)) {
        case 3:
            return TileBackward<Footprint<S>, 3, ABSOLUTE>(a, scratch).run(tile);
        case 4:
            return TileBackward<Footprint<S>, 4, ABSOLUTE>(a, scratch).run(tile);
        default:
            return TileBackward<Footprint<S>, 0, ABSOLUTE>(a, scratch).run(tile);
    }
}

}  // namespace

int64_t backward_scratch_bytes(const RenderArguments& a) {
    const int64_t tiles = a.threads * (tile_bytes(a) / 64 + 1) * 64, projection = project_backward_scratch_bytes(a);
    return tiles > projection ? tiles : projection;
}

template <class S> void rasterize_backward(const RenderArguments& a) {
    parallel_for(a.threads, TileGrid(a).count() * a.cameras, [&](int64_t tile, int worker) {
        char* scratch = at<char>(a.scratch) + worker * (tile_bytes(a) / 64 + 1) * 64;
        if (a.v_mean2d_abs)
            run_tile<S, true>(a, tile, scratch);
        else
            run_tile<S, false>(a, tile, scratch);
    });
}

template void rasterize_backward<float>(const RenderArguments&);
template void rasterize_backward<double>(const RenderArguments&);

SPLAT_NAMESPACE_END
