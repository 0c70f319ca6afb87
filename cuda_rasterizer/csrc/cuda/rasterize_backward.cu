// The derivative of compositing: a warp per 8 x 8 pixels, front to back exactly as it was composited.
//
// Each pixel knows from its final value what all its Gaussians together contribute to the loss; subtracting what lies in
// front leaves what lies behind, so nothing per intersection was kept by the forward, and no second direction is needed. Culling
// and staging are those of the forward. A Gaussian's sums over the 64 pixels (six moments, its values) are reduced over
// the lanes all at once, in about as many shuffles as there are sums, and added by as many lanes in one instruction:
// to the Gaussian, in any order; or, deterministic, to the intersection's own place, where the four sub-tiles of a tile come in
// four launches. Bound by arithmetic.
#include "cuda/sub_tile.h"

namespace splat {

namespace {

constexpr int MOMENTS = Footprint<float>::MOMENTS;
constexpr int FEATURES = 8;  // features whose sums are reduced together

// Number of a tile among the tiles of a Gaussian, in the order in which they were emitted.
template <class S>
SPLAT_DEVICE uint32_t intersection_rank(const Projected<Footprint<S>>& p, S log2_alpha_min, int tile_column,
                                        int tile_row) {
    const TileRect rect = p.rect;
    if (rect_tiles(rect) <= MASK_TILES) {
        const int bit = (tile_row - rect.y0) * rect_width(rect) + tile_column - rect.x0;
        return uint32_t(__popcll(p.mask & ((uint64_t(1) << bit) - 1)));
    }
    const S reach = footprint_reach(p.footprint, log2_alpha_min);
    uint32_t rank = 0;
    for (int row = rect.y0; row < tile_row; ++row) {
        const TileSpan span = tile_span_once<S>(p.footprint, reach, rect, row);
        rank += uint32_t(span.last - span.first);
    }
    return rank + uint32_t(tile_column - tile_span_once<S>(p.footprint, reach, rect, tile_row).first);
}

template <bool DETERMINISTIC, class S> SPLAT_DEVICE void add_to(S* sum, S value) {
    if (DETERMINISTIC)
        *sum += value;  // this launch has one writer only
    else
        atomicAdd(sum, value);
}

// Keeps a number in its register: the compiler would compute it again for every Gaussian.
SPLAT_DEVICE void keep(int& number) {
#if defined(__CUDA_ARCH__)
    asm volatile("" : "+r"(number));
#else
    (void)number;
#endif
}

// CHANNELS: 3 for color, 4 for color and depth. WITH_FEATURES: features too.
template <class S, int CHANNELS, bool WITH_FEATURES, bool ABSOLUTE, bool DETERMINISTIC>
__global__ __launch_bounds__((DETERMINISTIC ? 1 : SUB_TILES) * WARP) void composite_backward(RenderArguments a,
                                                                                             Thresholds<S> thresholds,
                                                                                             int first_sub_tile) {
    constexpr int SUMS = MOMENTS + CHANNELS + (ABSOLUTE ? 2 : 0);
    __shared__ Staged<S, CHANNELS> staged_by_warp[SUB_TILES][WARP];
    __shared__ uint32_t slots_by_warp[SUB_TILES][WARP];
    const int warp = int(threadIdx.x / WARP), lane = lane_index();
    Staged<S, CHANNELS>* staged = staged_by_warp[warp];
    uint32_t* slots = slots_by_warp[warp];
    const SubTile<S> place(a, int64_t(blockIdx.x), first_sub_tile + warp);
    const int features = WITH_FEATURES ? int(a.features_count) : 0, channels = channels_of(a);
    const int floats = MOMENTS + channels + (ABSOLUTE ? 2 : 0);
    // Where this lane's sum belongs in a row of gradients; without depth channel 3 has no place.
    const int owned = owned_sum<SUMS>(lane);
    int target = owned;
    if (owned >= MOMENTS + CHANNELS)
        target = floats - 2 + (owned - MOMENTS - CHANNELS);
    else if (CHANNELS == 4 && owned == MOMENTS + 3 && !a.with_depth)
        target = -1;
    keep(target);
    const int owned_feature = WITH_FEATURES ? owned_sum<FEATURES>(lane) : -1;

    S transmittance[PIXELS], remaining[PIXELS], v_image[PIXELS][CHANNELS], v_median[PIXELS];
#pragma unroll
    for (int k = 0; k < PIXELS; ++k) {
        transmittance[k] = S(-1), remaining[k] = S(0), v_median[k] = S(0);
#pragma unroll
        for (int c = 0; c < CHANNELS; ++c) v_image[k][c] = S(0);
        if (!place.inside(a, k)) continue;
        const int64_t from = place.pixel(a, k);
        transmittance[k] = S(1);
        if (a.v_alpha) remaining[k] = -at<const S>(a.v_alpha)[from] * at<const S>(a.transmittance)[from];
        if (a.v_rgb) {
#pragma unroll
            for (int c = 0; c < 3; ++c) {
                v_image[k][c] = at<const S>(a.v_rgb)[3 * from + c];
                // The image already holds T * background, which is what the gradient with respect to T would add for it.
                remaining[k] += v_image[k][c] * at<const S>(a.rgb)[3 * from + c];
            }
        }
        if (CHANNELS == 4 && a.with_depth) {
            if (a.v_depth) {
                v_image[k][CHANNELS - 1] = at<const S>(a.v_depth)[from];
                remaining[k] += v_image[k][CHANNELS - 1] * at<const S>(a.depth)[from];
            }
            if (a.v_median_depth) v_median[k] = at<const S>(a.v_median_depth)[from];
        }
        if (WITH_FEATURES && a.v_image_features) {
            for (int64_t c = features * from; c < features * (from + 1); ++c)
                remaining[k] += at<const S>(a.v_image_features)[c] * at<const S>(a.image_features)[c];
        }
    }

    for (TileList<S> list(a, place.tile); !list.done() && !warp_finished(transmittance);) {
        Staged<S, CHANNELS> mine;
        S depth, rgb[3];
        const bool exists = list.take(mine.footprint, depth, rgb, mine.row);
        const bool hit = exists && place.touched_by(mine.footprint, thresholds.log2_alpha_min);
        const unsigned hits = __ballot_sync(ALL_LANES, hit);
        if (hit) {
            for (int c = 0; c < 3; ++c) mine.values[c] = rgb[c];
            if (CHANNELS == 4) mine.values[CHANNELS - 1] = depth;
            const int to = __popc(hits & lanes_below(lane));
            staged[to] = mine;
            if (DETERMINISTIC)
                slots[to] = uint32_t(at<const int64_t>(a.intersection_offsets)[mine.row]) +
                            intersection_rank(at<const Projected<Footprint<S>>>(a.projected)[mine.row],
                                              thresholds.log2_alpha_min, place.tile_column, place.tile_row);
        }
        __syncwarp();
        for (int i = 0, count = __popc(hits); i < count; ++i) {
            const Staged<S, CHANNELS> gaussian = staged[i];
            const S dx = S(place.x) + S(0.5) - gaussian.footprint.x;
            S dy[PIXELS];
            FootprintSample<S> sample[PIXELS];
            Blend<S> step[PIXELS];
            bool passes_half[PIXELS];  // where the median depth is
#pragma unroll
            for (int k = 0; k < PIXELS; ++k) {
                dy[k] = S(place.row(k)) + S(0.5) - gaussian.footprint.y;
                sample[k] = footprint_sample(gaussian.footprint, footprint_row(gaussian.footprint, dy[k]), dx);
                step[k] = blend(sample[k].alpha, transmittance[k], thresholds.blend);
                passes_half[k] = step[k].weight > S(0) && transmittance[k] > S(0.5) && step[k].transmittance <= S(0.5);
                transmittance[k] = step[k].transmittance;
            }
            if (!__any_sync(ALL_LANES, step[0].weight > S(0) || step[1].weight > S(0))) continue;

            const FootprintSlopes<S> slopes = footprint_slopes(gaussian.footprint);
            FootprintMoments<S> moments;
            S v_value[CHANNELS] = {}, absolute[2] = {};
#pragma unroll
            for (int k = 0; k < PIXELS; ++k) {
                S dot = S(0);
#pragma unroll
                for (int c = 0; c < CHANNELS; ++c) {
                    dot += v_image[k][c] * gaussian.values[c];
                    v_value[c] += step[k].weight * v_image[k][c];
                }
                if (CHANNELS == 4 && passes_half[k]) v_value[CHANNELS - 1] += v_median[k];
                if (WITH_FEATURES && a.v_image_features && step[k].weight > S(0)) {
                    const S* value = features_of<S>(a, gaussian.row);
                    const S* v = at<const S>(a.v_image_features) + features * place.pixel(a, k);
                    for (int c = 0; c < features; ++c) dot += v[c] * value[c];
                }
                remaining[k] -= step[k].weight * dot;
                const S v_sigma = blend_vjp(step[k], sample[k].alpha, dot, remaining[k], thresholds.blend);
                if (k == 0)  // adding to zeros would cost an instruction each
                    moments = FootprintMoments<S>::of(v_sigma, sample[k], dy[k]);
                else
                    moments.add(v_sigma, sample[k], dy[k]);
                if (ABSOLUTE) add_absolute_gradient(slopes, sample[k], v_sigma, dy[k], absolute[0], absolute[1]);
            }
            S sums[SUMS] = {moments.one, moments.u, moments.dy, moments.u_u, moments.u_dy, moments.dy_dy};
#pragma unroll
            for (int c = 0; c < CHANNELS; ++c) sums[MOMENTS + c] = v_value[c];
            if (ABSOLUTE) sums[SUMS - 2] = absolute[0], sums[SUMS - 1] = absolute[1];
            TransposedSum<SUMS>::run(sums, lane);
            S* gradients = at<S>(a.intersection_gradients) + int64_t(DETERMINISTIC ? slots[i] : gaussian.row) * floats;
            if (target >= 0) add_to<DETERMINISTIC>(gradients + target, sums[0]);
            if (WITH_FEATURES && a.v_image_features) {
                for (int first = 0; first < features; first += FEATURES) {
                    S v_features[FEATURES];
#pragma unroll
                    for (int c = 0; c < FEATURES; ++c) {
                        v_features[c] = S(0);
                        if (first + c >= features) continue;
                        for (int k = 0; k < PIXELS; ++k)
                            if (step[k].weight > S(0))
                                v_features[c] +=
                                    step[k].weight *
                                    at<const S>(a.v_image_features)[features * place.pixel(a, k) + first + c];
                    }
                    TransposedSum<FEATURES>::run(v_features, lane);
                    if (owned_feature >= 0 && first + owned_feature < features)
                        add_to<DETERMINISTIC>(gradients + MOMENTS + channels - features + first + owned_feature,
                                              v_features[0]);
                }
            }
        }
        __syncwarp();
    }
}

template <class S, int CHANNELS, bool WITH_FEATURES, bool ABSOLUTE> void launch(const RenderArguments& a) {
    const dim3 grid(unsigned(TileGrid(a).count() * a.cameras));
    const Thresholds<S> thresholds(a);
    if (!a.deterministic)
        SPLAT_LAUNCH((composite_backward<S, CHANNELS, WITH_FEATURES, ABSOLUTE, false>), grid, dim3(SUB_TILES * WARP),
                     stream_of(a), a, thresholds, 0);
    for (int sub_tile = 0; a.deterministic && sub_tile < SUB_TILES; ++sub_tile)
        SPLAT_LAUNCH((composite_backward<S, CHANNELS, WITH_FEATURES, ABSOLUTE, true>), grid, dim3(WARP), stream_of(a),
                     a, thresholds, sub_tile);
}

template <class S, int CHANNELS, bool WITH_FEATURES> void launch(const RenderArguments& a) {
    a.v_mean2d_abs ? launch<S, CHANNELS, WITH_FEATURES, true>(a) : launch<S, CHANNELS, WITH_FEATURES, false>(a);
}

}  // namespace

int64_t cuda::gradient_rows(const RenderArguments& a) {
    return a.deterministic ? a.intersection_count : a.cameras * a.gaussians;
}

int64_t cuda::intersection_gradient_floats(const RenderArguments& a) {
    return MOMENTS + channels_of(a) + (a.v_mean2d_abs ? 2 : 0);
}

// Fills intersection_gradients: sums per row, or per intersection if deterministic.
void cuda::rasterize_backward(const RenderArguments& a) {
    const DeviceScope scope(a.device);
    const size_t bytes = size_t(gradient_rows(a) * intersection_gradient_floats(a)) * (a.is_double ? 8 : 4);
    if (bytes)
        check_cuda(cudaMemsetAsync(at<char>(a.intersection_gradients), 0, bytes, stream_of(a)), "rasterize_backward");
    if (a.cameras == 0) return;
    if (a.is_double)
        launch<double, 4, true>(a);
    else if (a.features_count)
        launch<float, 4, true>(a);
    else if (a.with_depth)
        launch<float, 4, false>(a);
    else
        launch<float, 3, false>(a);
}

}  // namespace splat
