// Binning: the intersections of one camera, by tile and within a tile by depth.
//
// Two sorts: the visible Gaussians by depth (radix sort, stable, so equal depths stay in index order), then one stable
// counting sort of the intersections by tile. Each thread takes a run of the depth order, counts its intersections per tile, and after a
// prefix sum over (tile, run) writes them in place: any number of threads gives the same lists. Memory-bound.
#include <cstring>

#include "cpu/parallel_for.h"
#include "cpu/stages.h"

SPLAT_NAMESPACE_BEGIN

namespace {

constexpr int RADIX_BITS = 11, RADIX = 1 << RADIX_BITS;
constexpr int64_t SLICE = 8192;  // visible Gaussians that a task sorts

int64_t slices(int64_t items) { return (items + SLICE - 1) / SLICE; }
int64_t runs(const RenderArguments& a) { return a.threads; }

// An order-preserving integer for a positive depth. In double, depths that agree to float precision are told apart by a
// second key of the bits below.
inline uint32_t depth_key(float depth) {
    uint32_t bits;
    memcpy(&bits, &depth, sizeof bits);
    return bits;
}
inline uint64_t depth_key(double depth) {
    uint64_t bits;
    memcpy(&bits, &depth, sizeof bits);
    return bits;
}

struct Entry {
    uint64_t key;
    uint32_t gaussian;
};

// Sorts `entries` by key; `other` is scratch of the same size; `counts` has RADIX x slices places.
void radix_sort(const RenderArguments& a, Entry*& entries, Entry*& other, int64_t count, int bits, int64_t* counts) {
    const int64_t parts = slices(count);
    for (int shift = 0; shift < bits; shift += RADIX_BITS) {
        parallel_for(a.threads, parts, [&](int64_t part, int) {
            int64_t local[RADIX] = {};
            const int64_t end = (part + 1) * SLICE < count ? (part + 1) * SLICE : count;
            for (int64_t i = part * SLICE; i < end; ++i) ++local[(entries[i].key >> shift) & (RADIX - 1)];
            for (int d = 0; d < RADIX; ++d) counts[d * parts + part] = local[d];
        });
        int64_t total = 0;
        for (int64_t i = 0; i < RADIX * parts; ++i) {
            const int64_t n = counts[i];
            counts[i] = total;
            total += n;
        }
        parallel_for(a.threads, parts, [&](int64_t part, int) {
            int64_t next[RADIX];
            for (int d = 0; d < RADIX; ++d) next[d] = counts[d * parts + part];
            const int64_t end = (part + 1) * SLICE < count ? (part + 1) * SLICE : count;
            for (int64_t i = part * SLICE; i < end; ++i)
                other[next[(entries[i].key >> shift) & (RADIX - 1)]++] = entries[i];
        });
        Entry* swap = entries;
        entries = other;
        other = swap;
    }
}

int64_t aligned(int64_t bytes) { return (bytes + 63) / 64 * 64; }

}  // namespace

int64_t bin_scratch_bytes(const RenderArguments& a) {
    return 2 * aligned(a.gaussians * int64_t(sizeof(Entry))) + aligned(RADIX * (slices(a.gaussians) + 1) * 8) +
           aligned(runs(a) * TileGrid(a).count() * 8);
}

template <class S> void bin_camera(const RenderArguments& a, int64_t camera) {
    const TileGrid grid(a);
    const int64_t tiles = grid.count();
    const S log2_alpha_min = log_base2(S(a.alpha_min));
    const Projected<Footprint<S>>* projected = at<const Projected<Footprint<S>>>(a.projected) + camera * a.gaussians;
    const int64_t* offsets = at<const int64_t>(a.intersection_offsets) + camera * a.gaussians;
    int64_t* tile_offsets = at<int64_t>(a.tile_offsets) + camera * tiles;
    Intersection* intersections = at<Intersection>(a.intersections);

    char* scratch = at<char>(a.scratch);
    Entry* entries = reinterpret_cast<Entry*>(scratch);
    Entry* other = reinterpret_cast<Entry*>(scratch += aligned(a.gaussians * int64_t(sizeof(Entry))));
    int64_t* counts = reinterpret_cast<int64_t*>(scratch += aligned(a.gaussians * int64_t(sizeof(Entry))));
    int64_t* tile_counts = reinterpret_cast<int64_t*>(scratch + aligned(RADIX * (slices(a.gaussians) + 1) * 8));

    int64_t visible = 0;
    for (int64_t i = 0; i < a.gaussians; ++i)
        if (offsets[i + 1] > offsets[i]) entries[visible++] = {depth_key(projected[i].depth), uint32_t(i)};
    radix_sort(a, entries, other, visible, int(sizeof(S)) * 8, counts);

    const int64_t run = (visible + runs(a) - 1) / runs(a);
    parallel_for(a.threads, runs(a), [&](int64_t r, int) {
        int64_t* mine = tile_counts + r * tiles;
        memset(mine, 0, tiles * 8);
        const int64_t end = (r + 1) * run < visible ? (r + 1) * run : visible;
        for (int64_t i = r * run; i < end; ++i)
            visit_intersections(projected[entries[i].gaussian], log2_alpha_min, grid,
                                [&](int64_t tile) { ++mine[tile]; });
    });
    int64_t total = offsets[0];
    for (int64_t tile = 0; tile < tiles; ++tile) {
        tile_offsets[tile] = total;
        for (int64_t r = 0; r < runs(a); ++r) {
            const int64_t n = tile_counts[r * tiles + tile];
            tile_counts[r * tiles + tile] = total;
            total += n;
        }
    }
    tile_offsets[tiles] = total;
    parallel_for(a.threads, runs(a), [&](int64_t r, int) {
        int64_t* next = tile_counts + r * tiles;
        const int64_t end = (r + 1) * run < visible ? (r + 1) * run : visible;
        for (int64_t i = r * run; i < end; ++i) {
            const uint32_t gaussian = entries[i].gaussian;
            uint32_t slot = uint32_t(offsets[gaussian]);
            visit_intersections(projected[gaussian], log2_alpha_min, grid,
                                [&](int64_t tile) { intersections[next[tile]++] = {gaussian, slot++}; });
        }
    });
}

// Fills tile_offsets and intersections.
template <class S> void bin(const RenderArguments& a) {
    for (int64_t camera = 0; camera < a.cameras; ++camera) bin_camera<S>(a, camera);
}

template void bin<float>(const RenderArguments&);
template void bin<double>(const RenderArguments&);

SPLAT_NAMESPACE_END
