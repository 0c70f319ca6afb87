// What each Gaussian contributes: a warp per 8 x 8 pixels, composited once more as by rasterize_forward.
//
// Culling and staging are those of the forward. In place of colors, a Gaussian's blend weights are reduced over the 64
// pixels of the warp and added to the Gaussian by one lane each: sums in double, so that the order in which warps arrive
// shows only far behind the digits of a float. The finished image tells what lies behind a Gaussian, and so what the pixel
// would be without it. Bound by arithmetic, and by shuffles where Gaussians are small.
#include "cuda/sub_tile.h"

namespace splat {

namespace {

template <class T> SPLAT_DEVICE T warp_max(T value) {
    for (int offset = WARP / 2; offset > 0; offset /= 2)
        value = larger(value, __shfl_xor_sync(ALL_LANES, value, offset));
    return value;
}

// Numbers that are not negative have the order of their bits.
SPLAT_DEVICE void raise_to(float* to, float value) { atomicMax(reinterpret_cast<unsigned*>(to), depth_key(value)); }
SPLAT_DEVICE void raise_to(double* to, double value) {
    atomicMax(reinterpret_cast<unsigned long long*>(to), (unsigned long long)depth_key(value));
}

template <class S> __global__ __launch_bounds__(SUB_TILES* WARP) void contribute(RenderArguments a,
                                                                                 Thresholds<S> thresholds) {
    __shared__ Staged<S, 3> staged_by_warp[SUB_TILES][WARP];
    const int warp = int(threadIdx.x / WARP), lane = lane_index();
    Staged<S, 3>* staged = staged_by_warp[warp];
    const SubTile<S> place(a, int64_t(blockIdx.x), warp);

    S transmittance[PIXELS], behind[PIXELS][3], factor[PIXELS];
#pragma unroll
    for (int k = 0; k < PIXELS; ++k) {
        const bool inside = place.inside(a, k);
        transmittance[k] = inside ? S(1) : S(-1), factor[k] = S(1);
        if (inside && a.pixel_weights) factor[k] = at<const S>(a.pixel_weights)[place.pixel(a, k)];
#pragma unroll
        for (int c = 0; c < 3; ++c) behind[k][c] = inside ? at<const S>(a.rgb)[3 * place.pixel(a, k) + c] : S(0);
    }

    for (TileList<S> list(a, place.tile); !list.done() && !warp_finished(transmittance);) {
        Staged<S, 3> mine;
        S depth, rgb[3];
        const bool exists = list.take(mine.footprint, depth, rgb, mine.row);
        const bool hit = exists && place.touched_by(mine.footprint, thresholds.log2_alpha_min);
        const unsigned hits = __ballot_sync(ALL_LANES, hit);
        if (hit) {
            for (int c = 0; c < 3; ++c) mine.values[c] = rgb[c];
            staged[__popc(hits & lanes_below(lane))] = mine;
        }
        __syncwarp();
        for (int i = 0, count = __popc(hits); i < count; ++i) {
            const Staged<S, 3> gaussian = staged[i];
            const S dx = S(place.x) + S(0.5) - gaussian.footprint.x;
            S sums[2] = {S(0), S(0)}, most = S(0);  // sums: weight, squared change
            unsigned pixels = 0;
#pragma unroll
            for (int k = 0; k < PIXELS; ++k) {
                const FootprintRow<S> row =
                    footprint_row(gaussian.footprint, S(place.row(k)) + S(0.5) - gaussian.footprint.y);
                const Blend<S> step =
                    blend(footprint_sample(gaussian.footprint, row, dx).alpha, transmittance[k], thresholds.blend);
                transmittance[k] = step.transmittance;
                S change = S(0);
#pragma unroll
                for (int c = 0; c < 3; ++c) {
                    behind[k][c] -= step.weight * gaussian.values[c];
                    const S d = removal_change(step, gaussian.values[c], behind[k][c]);
                    change += d * d;
                }
                const S weight = step.weight * factor[k];
                sums[0] += weight, sums[1] += change * factor[k];
                most = larger(most, weight);
                pixels += unsigned(__popc(__ballot_sync(ALL_LANES, weight > S(0))));
            }
            if (!pixels) continue;
            TransposedSum<2>::run(sums, lane);
            most = warp_max(most);
            const int64_t to = int64_t(gaussian.row) - place.camera * a.gaussians;
            const int owned = owned_sum<2>(lane);
            if (owned >= 0) atomicAdd(at<double>(owned ? a.removal_changes : a.weight_sums) + to, double(sums[0]));
            if (lane == 0) {
                raise_to(at<S>(a.weight_maxima) + to, most);
                atomicAdd(at<unsigned long long>(a.pixel_counts) + to, (unsigned long long)pixels);
            }
        }
        __syncwarp();
    }
}

}  // namespace

void cuda::contribution(const RenderArguments& a) {
    const DeviceScope scope(a.device);
    const size_t number = a.is_double ? 8 : 4;
    const auto clear = [&](uint64_t address, size_t bytes) {
        if (a.gaussians)
            check_cuda(cudaMemsetAsync(at<char>(address), 0, size_t(a.gaussians) * bytes, stream_of(a)),
                       "contribution");
    };
    clear(a.weight_sums, 8), clear(a.removal_changes, 8), clear(a.pixel_counts, 8), clear(a.weight_maxima, number);
    if (a.cameras == 0) return;
    const dim3 grid(unsigned(TileGrid(a).count() * a.cameras)), block(SUB_TILES * WARP);
    if (a.is_double)
        SPLAT_LAUNCH((contribute<double>), grid, block, stream_of(a), a, Thresholds<double>(a));
    else
        SPLAT_LAUNCH((contribute<float>), grid, block, stream_of(a), a, Thresholds<float>(a));
}

}  // namespace splat
