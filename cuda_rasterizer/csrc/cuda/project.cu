// Projection: every Gaussian by every camera, to a footprint, a depth, a color and the tiles it touches.
//
// A thread takes one Gaussian of one camera (a row). Tiles of small rectangles are tested by that thread; those of large
// ones by its whole warp, a row of tiles per lane. Color is evaluated only for Gaussians that touch a tile: with 48
// coefficients each it would otherwise be most of the traffic. A block leaves the number of its drawn rows, so that
// `compact` can list them in order. No shared memory; bound by memory.
#include <vector>

#include "cuda/sort.h"
#include "cuda/stages.h"

namespace splat {

ProjectScratch::ProjectScratch(const RenderArguments& a) {
    Arena arena(a.project_scratch);
    rows = a.cameras * a.gaussians, blocks = blocks_for(rows, PROJECT_THREADS);
    totals = arena.take<unsigned long long>(2);
    block_visible = arena.take<uint32_t>(blocks);
    block_offsets = arena.take<uint32_t>(blocks);
    keys = arena.take<uint64_t>(a.is_double ? rows : (rows + 1) / 2);
    tiles = arena.take<uint32_t>(rows);
    scan_bytes = exclusive_sum_bytes(blocks);
    scan = arena.take<char>(int64_t(scan_bytes));
    bytes = arena.bytes();
}

namespace {

constexpr int OWN_ROWS = 4;  // a thread tests rectangles of so many rows of tiles, a warp larger ones

template <class T> SPLAT_DEVICE T broadcast(T value, int lane) { return __shfl_sync(ALL_LANES, value, lane); }
template <class S> SPLAT_DEVICE Footprint<S> broadcast_footprint(const Footprint<S>& f, int lane) {
    return {broadcast(f.x, lane),   broadcast(f.y, lane),   broadcast(f.l11, lane),
            broadcast(f.l12, lane), broadcast(f.l22, lane), broadcast(f.log2_opacity, lane)};
}

SPLAT_DEVICE uint64_t span_mask(const TileRect& rect, int row, TileSpan span) {
    const int width = rect_width(rect), first = (row - rect.y0) * width + span.first - rect.x0;
    const int count = span.last - span.first;
    return count <= 0 ? 0 : (count == 64 ? ~uint64_t(0) : ((uint64_t(1) << count) - 1)) << first;
}

// Counts the tiles of every lane's Gaussian; all lanes of the warp must come here. `covers` is false without a rectangle.
template <class S>
SPLAT_DEVICE void count_tiles(bool covers, S log2_alpha_min, Projected<Footprint<S>>& p) {
    const bool own = covers && p.rect.y1 - p.rect.y0 <= OWN_ROWS && rect_tiles(p.rect) <= MASK_TILES;
    if (own) {
        const S reach = footprint_reach(p.footprint, log2_alpha_min);
        for (int row = p.rect.y0; row < p.rect.y1; ++row)
            p.mask |= span_mask(p.rect, row, tile_span(p.footprint, reach, p.rect, row));
        p.tiles = __popcll(p.mask);
    }
    const int lane = lane_index();
    for (unsigned large = __ballot_sync(ALL_LANES, covers && !own); large; large &= large - 1) {
        const int from = __ffs(int(large)) - 1;
        const Footprint<S> f = broadcast_footprint(p.footprint, from);
        const uint2 corners = {broadcast(unsigned(p.rect.x0) | unsigned(p.rect.y0) << 16, from),
                               broadcast(unsigned(p.rect.x1) | unsigned(p.rect.y1) << 16, from)};
        const TileRect rect = {uint16_t(corners.x), uint16_t(corners.x >> 16), uint16_t(corners.y),
                               uint16_t(corners.y >> 16)};
        const bool masked = rect_tiles(rect) <= MASK_TILES;
        const S reach = footprint_reach(f, log2_alpha_min);
        unsigned tiles = 0;
        unsigned long long mask = 0;
        for (int row = rect.y0 + lane; row < rect.y1; row += WARP) {
            const TileSpan span = tile_span_once<S>(f, reach, rect, row);
            tiles += unsigned(span.last - span.first);
            if (masked) mask |= span_mask(rect, row, span);
        }
        tiles = warp_sum(tiles);
        mask = warp_sum(mask);  // the rows' bits are distinct: adding is joining
        if (lane == from) p.tiles = tiles, p.mask = mask;
    }
}

template <class S> __global__ __launch_bounds__(PROJECT_THREADS) void project_rows(RenderArguments a,
                                                                                   ProjectScratch scratch) {
    const int64_t row = int64_t(blockIdx.x) * PROJECT_THREADS + threadIdx.x;
    const bool exists = row < scratch.rows;
    const int64_t camera_index = exists ? row / a.gaussians : 0, i = row - camera_index * a.gaussians;
    const ProjectionSettings<S> settings = projection_settings<S>(a);
    const S log2_alpha_min = log_base2(settings.alpha_min);
    const PinholeCamera<S> camera = camera_of<S>(a, camera_index);
    Projected<Footprint<S>> p;
    p.mask = 0, p.tiles = 0, p.depth = S(0);
    S radius = S(0);
    bool covers = false;
    if (exists) {
        ProjectedGaussian<S> full;
        if (project_gaussian(gaussian_of<S>(a, i), camera, settings, full)) {
            p.footprint = full.footprint, p.depth = full.point.z;
            covers = cover_rect(a, TileGrid(a), p.footprint, log2_alpha_min, p.rect, radius);
        }
    }
    count_tiles(covers, log2_alpha_min, p);
    if (p.tiles > 0 && !shade(a, i, camera, p.rgb)) p.tiles = 0, radius = S(0);
    if (exists) {
        Projected<Footprint<S>>& out = at<Projected<Footprint<S>>>(a.projected)[row];
        if (p.tiles > 0)
            out = p;
        else
            out.tiles = 0;
        if (p.tiles > 0) scratch.tiles[row] = p.tiles;
        at<S>(a.radii)[row] = radius;
        reinterpret_cast<DepthKey<S>*>(scratch.keys)[row] = p.tiles > 0 ? depth_key(p.depth) : ~DepthKey<S>(0);
    }
    const unsigned long long intersections = warp_sum(static_cast<unsigned long long>(p.tiles));
    if (lane_index() == 0 && intersections) atomicAdd(&scratch.totals[1], intersections);
    const int visible = __syncthreads_count(p.tiles > 0);
    if (threadIdx.x == 0) {
        scratch.block_visible[blockIdx.x] = uint32_t(visible);
        if (visible) atomicAdd(&scratch.totals[0], static_cast<unsigned long long>(visible));
    }
}

// Where the host reads the two totals of its latest render: page-locked, so that they come without a detour, and an event
// that tells when they are there. One per thread and device, never freed.
struct Mailbox {
    unsigned long long* totals = nullptr;
    cudaEvent_t arrived = nullptr;
};

Mailbox& mailbox(int64_t device) {
    thread_local std::vector<Mailbox> boxes;
    const size_t place = device < 0 ? 0 : size_t(device);
    if (boxes.size() <= place) boxes.resize(place + 1);
    Mailbox& box = boxes[place];
    if (!box.totals) {
        void* memory = nullptr;
        check_cuda(cudaMallocHost(&memory, 2 * sizeof(*box.totals)), "project");
        check_cuda(cudaEventCreateWithFlags(&box.arrived, cudaEventDisableTiming), "project");
        box.totals = static_cast<unsigned long long*>(memory);
    }
    return box;
}

// Starts the way of the totals to the host.
void send_totals(const RenderArguments& a, const ProjectScratch& scratch) {
    Mailbox& box = mailbox(a.device);
    check_cuda(
        cudaMemcpyAsync(box.totals, scratch.totals, 2 * sizeof(*box.totals), cudaMemcpyDeviceToHost, stream_of(a)),
        "project");
    check_cuda(cudaEventRecord(box.arrived, stream_of(a)), "project");
}

}  // namespace

// Fills projected and radii, and tells how many rows are visible and how many intersections they make.
void cuda::project(RenderArguments& a) {
    const DeviceScope scope(a.device);
    const ProjectScratch scratch(a);
    const cudaStream_t stream = stream_of(a);
    check_cuda(cudaMemsetAsync(scratch.totals, 0, 2 * sizeof(unsigned long long), stream), "project");
    if (scratch.rows == 0)
        check_cuda(cudaMemsetAsync(scratch.block_visible, 0, sizeof(uint32_t), stream), "project");
    else if (a.is_double)
        SPLAT_LAUNCH((project_rows<double>), dim3(unsigned(scratch.blocks)), dim3(PROJECT_THREADS), stream, a, scratch);
    else
        SPLAT_LAUNCH((project_rows<float>), dim3(unsigned(scratch.blocks)), dim3(PROJECT_THREADS), stream, a, scratch);
    const bool guessed = a.visible_capacity > 0;
    if (guessed || !a.intersection_capacity) send_totals(a, scratch);
    if (!a.intersection_capacity) return count(a);
    a.visible_count = guessed && a.visible_capacity < scratch.rows ? a.visible_capacity : scratch.rows;
    a.intersection_count = a.intersection_capacity;
}

// The true counts of this thread's latest project.
void cuda::count(RenderArguments& a) {
    const Mailbox& box = mailbox(a.device);
    check_cuda(cudaEventSynchronize(box.arrived), "project");
    a.visible_count = int64_t(box.totals[0]), a.intersection_count = int64_t(box.totals[1]);
}

}  // namespace splat
