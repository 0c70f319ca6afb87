// Binning: the intersections of (tile, Gaussian), by tile and within a tile by depth.
//
// Two sorts: the visible rows by depth (stable, so equal depths stay in index order), then the intersections by tile (stable, so
// the depth order stays). The intersections are emitted in depth order: Gaussians of few tiles by their own thread, large ones by
// the whole warp. Without a count from the device (intersection_capacity) every array has its full size, and what is not used
// holds keys behind all others. Bound by memory.
#include "cuda/sort.h"
#include "cuda/stages.h"

namespace splat {

namespace {

constexpr int THREADS = 256;
constexpr uint32_t OWN_TILES = 4;  // a thread emits so many intersections, a warp more

struct BinScratch {
    uint64_t* keys[2];  // depth keys, 32-bit for float
    uint32_t* rows[2];  // visible rows, in index order and then in depth order
    uint32_t *counts, *offsets;
    uint32_t* tile_keys[2];  // 16-bit where that is enough
    uint32_t* other_intersections;
    void* temporary;
    size_t temporary_bytes;
    int tile_bits;
    bool short_keys;
    int64_t bytes;

    explicit BinScratch(const RenderArguments& a) {
        Arena arena(a.scratch);
        const int64_t tiles = TileGrid(a).count() * a.cameras, visible = a.visible_count,
                      intersections = a.intersection_count;
        tile_bits = 1;
        while ((int64_t(1) << tile_bits) <= tiles) ++tile_bits;  // one value is left for "no tile"
        short_keys = tile_bits <= 16;
        for (uint64_t*& array : keys) array = arena.take<uint64_t>(a.is_double ? visible : (visible + 1) / 2);
        for (uint32_t*& array : rows) array = arena.take<uint32_t>(visible);
        counts = arena.take<uint32_t>(visible), offsets = arena.take<uint32_t>(visible);
        for (uint32_t*& array : tile_keys)
            array = arena.take<uint32_t>(short_keys ? (intersections + 1) / 2 : intersections);
        other_intersections = arena.take<uint32_t>(intersections);
        temporary_bytes = exclusive_sum_bytes(visible);
        const size_t depth_sort =
            a.is_double ? stable_sort_bytes<uint64_t>(visible) : stable_sort_bytes<uint32_t>(visible);
        const size_t tile_sort =
            short_keys ? stable_sort_bytes<uint16_t>(intersections) : stable_sort_bytes<uint32_t>(intersections);
        if (depth_sort > temporary_bytes) temporary_bytes = depth_sort;
        if (tile_sort > temporary_bytes) temporary_bytes = tile_sort;
        temporary = arena.take<char>(int64_t(temporary_bytes));
        bytes = arena.bytes();
    }
};

// Lists the drawn rows in index order: a block knows from the scan where its rows begin.
template <class Key>
__global__ __launch_bounds__(PROJECT_THREADS) void compact(ProjectScratch from, Key* keys, uint32_t* rows,
                                                           int64_t capacity) {
    __shared__ uint32_t warp_counts[PROJECT_THREADS / WARP];
    const int64_t row = int64_t(blockIdx.x) * PROJECT_THREADS + threadIdx.x;
    const Key key = row < from.rows ? reinterpret_cast<const Key*>(from.keys)[row] : Key(~Key(0));
    const bool drawn = key != Key(~Key(0));
    const unsigned ballot = __ballot_sync(ALL_LANES, drawn);
    const int warp = int(threadIdx.x / WARP);
    if (lane_index() == 0) warp_counts[warp] = uint32_t(__popc(ballot));
    __syncthreads();
    if (!drawn) return;
    uint32_t place = from.block_offsets[blockIdx.x] + uint32_t(__popc(ballot & lanes_below(lane_index())));
    for (int w = 0; w < warp; ++w) place += warp_counts[w];
    if (place < capacity) keys[place] = key, rows[place] = uint32_t(row);
}

template <class Key>
__global__ __launch_bounds__(THREADS) void gather_counts(ProjectScratch from, int64_t count, const Key* keys,
                                                         const uint32_t* rows, uint32_t* counts) {
    const int64_t i = int64_t(blockIdx.x) * THREADS + threadIdx.x;
    if (i < count) counts[i] = keys[i] == Key(~Key(0)) ? 0 : from.tiles[rows[i]];
}

// Writes the intersections of one row, where there is room, and never more than were counted: should a compiler round the
// test of a tile differently for counting, a tile at the rim would be missing, and no other row's place taken.
template <class Key> struct Emitter {
    Key* keys;
    uint32_t* intersections;
    int64_t end;  // of the row's places
    uint32_t row;
    int64_t first_tile;
    SPLAT_DEVICE void emit(int64_t place, int64_t tile) const {
        if (place < end) keys[place] = Key(first_tile + tile), intersections[place] = row;
    }
};

SPLAT_DEVICE int64_t room(const RenderArguments& a, int64_t offset, uint32_t count) {
    return smaller(a.intersection_count, offset + int64_t(count));
}

template <class S, class Key>
__global__ __launch_bounds__(THREADS) void emit_intersections(RenderArguments a, const uint32_t* rows,
                                                              const uint32_t* counts, const uint32_t* offsets,
                                                              Key* keys, uint32_t* intersections) {
    const int64_t i = int64_t(blockIdx.x) * THREADS + threadIdx.x;
    const TileGrid grid(a);
    const S log2_alpha_min = log_base2(S(a.alpha_min));
    const uint32_t count = i < a.visible_count ? counts[i] : 0;
    const uint32_t row = count ? rows[i] : 0, offset = count ? offsets[i] : 0;
    const Projected<Footprint<S>>* projected = at<const Projected<Footprint<S>>>(a.projected);
    if (count && a.intersection_offsets) at<int64_t>(a.intersection_offsets)[row] = offset;

    if (count && count <= OWN_TILES && rect_tiles(projected[row].rect) <= MASK_TILES) {
        const TileRect rect = projected[row].rect;
        const int width = rect_width(rect);
        const Emitter<Key> emitter = {keys, intersections, room(a, offset, count), row,
                                      int64_t(row / a.gaussians) * grid.count()};
        uint32_t place = offset;
        for (uint64_t mask = projected[row].mask; mask; mask &= mask - 1) {
            const int bit = __ffsll(static_cast<long long>(mask)) - 1, y = bit / width;
            emitter.emit(place++, int64_t(rect.y0 + y) * grid.columns + rect.x0 + bit - y * width);
        }
    }

    const bool own = count <= OWN_TILES && (!count || rect_tiles(projected[row].rect) <= MASK_TILES);
    const int lane = lane_index();
    for (unsigned large = __ballot_sync(ALL_LANES, !own); large; large &= large - 1) {
        const int from = __ffs(int(large)) - 1;
        const uint32_t its_row = __shfl_sync(ALL_LANES, row, from);
        const Projected<Footprint<S>>& p = projected[its_row];
        const TileRect rect = p.rect;
        const int width = rect_width(rect);
        int64_t place = __shfl_sync(ALL_LANES, offset, from);
        const Emitter<Key> emitter = {keys, intersections, room(a, place, __shfl_sync(ALL_LANES, count, from)), its_row,
                                      int64_t(its_row / a.gaussians) * grid.count()};
        if (rect_tiles(rect) <= MASK_TILES) {
            for (int bit = lane; bit < rect_tiles(rect); bit += WARP) {
                if (!(p.mask >> bit & 1)) continue;
                const int y = bit / width, before = __popcll(p.mask & ((uint64_t(1) << bit) - 1));
                emitter.emit(place + before, int64_t(rect.y0 + y) * grid.columns + rect.x0 + bit - y * width);
            }
            continue;
        }
        const S reach = footprint_reach(p.footprint, log2_alpha_min);
        for (int y = rect.y0; y < rect.y1; y += WARP) {  // a row of tiles per lane, then all lanes along each row
            TileSpan span = {0, 0};
            if (y + lane < rect.y1) span = tile_span_once<S>(p.footprint, reach, rect, y + lane);
            const unsigned tiles = unsigned(span.last - span.first), sum = warp_inclusive_sum(tiles);
            for (int r = 0; r < WARP && y + r < rect.y1; ++r) {
                const int first = __shfl_sync(ALL_LANES, span.first, r), last = __shfl_sync(ALL_LANES, span.last, r);
                const unsigned before = __shfl_sync(ALL_LANES, sum - tiles, r);
                for (int column = first + lane; column < last; column += WARP)
                    emitter.emit(place + before + (column - first), int64_t(y + r) * grid.columns + column);
            }
            place += __shfl_sync(ALL_LANES, sum, WARP - 1);
        }
    }
}

// Where each tile's intersections begin, from the sorted keys: thread i closes the tiles that end before intersection i.
template <class Key>
__global__ __launch_bounds__(THREADS) void find_tiles(const Key* keys, int64_t intersections, int64_t tiles,
                                                      int64_t* offsets) {
    const int64_t i = int64_t(blockIdx.x) * THREADS + threadIdx.x;
    if (i > intersections) return;
    int64_t here = i < intersections ? int64_t(keys[i]) : tiles, before = i > 0 ? int64_t(keys[i - 1]) : -1;
    if (here > tiles) here = tiles;
    for (int64_t tile = before + 1; tile <= here; ++tile) offsets[tile] = i;
}

template <class S, class Key> void bin_intersections(const RenderArguments& a, const BinScratch& scratch,
                                                     const uint32_t* rows) {
    const cudaStream_t stream = stream_of(a);
    const int64_t tiles = TileGrid(a).count() * a.cameras;
    Key *keys = reinterpret_cast<Key*>(scratch.tile_keys[0]), *other = reinterpret_cast<Key*>(scratch.tile_keys[1]);
    Key* sorted = keys;
    uint32_t* intersections = at<uint32_t>(a.intersections);
    // Places that nobody fills are no tile's.
    if (a.intersection_count)
        check_cuda(cudaMemsetAsync(keys, 0xff, size_t(a.intersection_count) * sizeof(Key), stream), "bin");
    if (a.intersection_count && a.visible_count) {
        SPLAT_LAUNCH((emit_intersections<S, Key>), dim3(blocks_for(a.visible_count, THREADS)), dim3(THREADS), stream, a,
                     rows, scratch.counts, scratch.offsets, keys, intersections);
        stable_sort(scratch.temporary, scratch.temporary_bytes, keys, other, intersections, scratch.other_intersections,
                    a.intersection_count, scratch.tile_bits, stream, &sorted);
    }
    SPLAT_LAUNCH((find_tiles<Key>), dim3(blocks_for(a.intersection_count + 1, THREADS)), dim3(THREADS), stream, sorted,
                 a.intersection_count, tiles, at<int64_t>(a.tile_offsets));
}

template <class S> void bin_rows(const RenderArguments& a) {
    typedef DepthKey<S> Depth;
    const ProjectScratch from(a);
    const BinScratch scratch(a);
    const cudaStream_t stream = stream_of(a);
    const size_t depth_bytes = size_t(a.visible_count) * sizeof(Depth);
    Depth *keys = reinterpret_cast<Depth*>(scratch.keys[0]), *other = reinterpret_cast<Depth*>(scratch.keys[1]);
    if (a.visible_count) {
        exclusive_sum(from.scan, from.scan_bytes, from.block_visible, from.block_offsets, from.blocks, stream);
        if (a.intersection_capacity) check_cuda(cudaMemsetAsync(keys, 0xff, depth_bytes, stream), "bin");
        SPLAT_LAUNCH((compact<Depth>), dim3(unsigned(from.blocks)), dim3(PROJECT_THREADS), stream, from, keys,
                     scratch.rows[0], a.visible_count);
        Depth* sorted = keys;
        stable_sort(scratch.temporary, scratch.temporary_bytes, keys, other, scratch.rows[0], scratch.rows[1],
                    a.visible_count, int(sizeof(Depth)) * 8, stream, &sorted);
        SPLAT_LAUNCH((gather_counts<Depth>), dim3(blocks_for(a.visible_count, THREADS)), dim3(THREADS), stream, from,
                     a.visible_count, sorted, scratch.rows[0], scratch.counts);
        exclusive_sum(scratch.temporary, scratch.temporary_bytes, scratch.counts, scratch.offsets, a.visible_count,
                      stream);
    }
    if (scratch.short_keys)
        bin_intersections<S, uint16_t>(a, scratch, scratch.rows[0]);
    else
        bin_intersections<S, uint32_t>(a, scratch, scratch.rows[0]);
}

}  // namespace

int64_t cuda::forward_scratch_bytes(const RenderArguments& a) { return BinScratch(a).bytes; }

// Fills tile_offsets and intersections, and intersection_offsets where they are wanted.
void cuda::bin(const RenderArguments& a) {
    const DeviceScope scope(a.device);
    a.is_double ? bin_rows<double>(a) : bin_rows<float>(a);
}

}  // namespace splat
