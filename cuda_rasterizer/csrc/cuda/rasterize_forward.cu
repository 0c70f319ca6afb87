// Compositing: a block per tile, a warp per 8 x 8 pixels, two pixels per lane.
//
// A warp takes 32 Gaussians of its tile's list at a time. Each lane tests one of them against the warp's pixels, exactly;
// a ballot tells which of the 32 reach them (most do not), and only those are staged in shared memory, from where all
// lanes read them at once. Per pixel and Gaussian that remains about 20 instructions, one of them the special function
// 2^x. Bound by arithmetic. Features are composited by further launches, eight channels each.
#include "cuda/sub_tile.h"

namespace splat {

namespace {

constexpr int FEATURES = 8;  // channels of one launch

// CHANNELS: 3 for color, 4 for color and depth, FEATURES for the features from first_feature on.
template <class S, int CHANNELS>
__global__ __launch_bounds__(SUB_TILES* WARP) void composite(RenderArguments a, Thresholds<S> thresholds,
                                                             const unsigned long long* totals, int first_feature) {
    constexpr bool colors = CHANNELS != FEATURES;
    __shared__ Staged<S, CHANNELS> staged_by_warp[SUB_TILES][WARP];
    const int warp = int(threadIdx.x / WARP), lane = lane_index();
    Staged<S, CHANNELS>* staged = staged_by_warp[warp];
    const SubTile<S> place(a, int64_t(blockIdx.x), warp);

    S transmittance[PIXELS], image[PIXELS][CHANNELS], median[PIXELS];
#pragma unroll
    for (int k = 0; k < PIXELS; ++k) {
        transmittance[k] = place.inside(a, k) ? S(1) : S(-1), median[k] = S(0);
#pragma unroll
        for (int c = 0; c < CHANNELS; ++c) image[k][c] = S(0);
    }

    unsigned long long staged_in_all = 0;
    for (TileList<S> list(a, place.tile); !list.done() && !warp_finished(transmittance);) {
        Staged<S, CHANNELS> mine;
        S depth, rgb[3];
        const bool exists = list.take(mine.footprint, depth, rgb, mine.row);
        const bool hit = exists && place.touched_by(mine.footprint, thresholds.log2_alpha_min);
        const unsigned hits = __ballot_sync(ALL_LANES, hit);
        if (hit) {
            if (colors) {
                for (int c = 0; c < 3; ++c) mine.values[c] = rgb[c];
                if (CHANNELS == 4) mine.values[CHANNELS - 1] = depth;
            } else {
                const S* features = features_of<S>(a, mine.row) + first_feature;
#pragma unroll
                for (int c = 0; c < CHANNELS; ++c)
                    mine.values[c] = first_feature + c < a.features_count ? features[c] : S(0);
            }
            staged[__popc(hits & lanes_below(lane))] = mine;
        }
        __syncwarp();
        staged_in_all += unsigned(__popc(hits));
        for (int i = 0, count = __popc(hits); i < count; ++i) {
            const Staged<S, CHANNELS> gaussian = staged[i];
            const S dx = S(place.x) + S(0.5) - gaussian.footprint.x;
#pragma unroll
            for (int k = 0; k < PIXELS; ++k) {
                const FootprintRow<S> row =
                    footprint_row(gaussian.footprint, S(place.row(k)) + S(0.5) - gaussian.footprint.y);
                const S before = transmittance[k];
                const Blend<S> step =
                    blend(footprint_sample(gaussian.footprint, row, dx).alpha, before, thresholds.blend);
                transmittance[k] = step.transmittance;
#pragma unroll
                for (int c = 0; c < CHANNELS; ++c) image[k][c] += step.weight * gaussian.values[c];
                if (CHANNELS == 4 && step.weight > S(0) && before > S(0.5) && step.transmittance <= S(0.5))
                    median[k] = gaussian.values[CHANNELS - 1];
            }
        }
        __syncwarp();
    }

    if (a.evaluations && lane == 0 && staged_in_all)
        atomicAdd(at<unsigned long long>(a.evaluations), staged_in_all * (SUB_TILE * SUB_TILE));

    // More intersections than there was room for: the lists are not complete, and nobody may take this for the image.
    const bool incomplete = int64_t(totals[1]) > a.intersection_count;
    const S spoil = incomplete ? S(0) / S(0) : S(0);
    const S* background = at<const S>(a.background) + 3 * place.camera;
#pragma unroll
    for (int k = 0; k < PIXELS; ++k) {
        if (!place.inside(a, k)) continue;
        const int64_t to = place.pixel(a, k);
        if (!colors) {
            for (int c = 0; c < CHANNELS; ++c)
                if (first_feature + c < a.features_count)
                    at<S>(a.image_features)[a.features_count * to + first_feature + c] = image[k][c] + spoil;
            continue;
        }
        const S T = magnitude(transmittance[k]);
        at<S>(a.transmittance)[to] = T + spoil;
#pragma unroll
        for (int c = 0; c < 3; ++c) at<S>(a.rgb)[3 * to + c] = image[k][c] + T * background[c] + spoil;
        if (CHANNELS == 4 && a.with_depth)
            at<S>(a.depth)[to] = image[k][CHANNELS - 1] + spoil, at<S>(a.median_depth)[to] = median[k] + spoil;
    }
}

template <class S, int CHANNELS> void launch(const RenderArguments& a, int first_feature) {
    const int64_t tiles = TileGrid(a).count() * a.cameras;
    SPLAT_LAUNCH((composite<S, CHANNELS>), dim3(unsigned(tiles)), dim3(SUB_TILES * WARP), stream_of(a), a,
                 Thresholds<S>(a), ProjectScratch(a).totals, first_feature);
}

}  // namespace

void cuda::rasterize_forward(const RenderArguments& a) {
    const DeviceScope scope(a.device);
    if (a.cameras == 0) return;
    if (a.is_double)
        launch<double, 4>(a, 0);
    else if (a.with_depth)
        launch<float, 4>(a, 0);
    else
        launch<float, 3>(a, 0);
    for (int first = 0; first < a.features_count; first += FEATURES)
        a.is_double ? launch<double, FEATURES>(a, first) : launch<float, FEATURES>(a, first);
}

}  // namespace splat
