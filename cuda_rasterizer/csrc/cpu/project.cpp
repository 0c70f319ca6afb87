// Projection: every Gaussian by every camera, to a footprint, a depth, a color and the list of tiles it touches.
//
// A task takes 512 Gaussians of one camera. Color is evaluated only for Gaussians that touch a tile: with 48
// coefficients each it would otherwise be most of the memory traffic, which bounds this stage together with exp and sqrt.
#include "cpu/parallel_for.h"
#include "cpu/stages.h"

SPLAT_NAMESPACE_BEGIN

namespace {

constexpr int64_t CHUNK = 512;

// Returns the number of tiles touched, filling `rect` and `mask`, and the larger half-extent in `radius`.
template <class S>
int64_t cover_tiles(const RenderArguments& a, const TileGrid& grid, S log2_alpha_min, Projected<Footprint<S>>& p,
                    S& radius) {
    if (!cover_rect(a, grid, p.footprint, log2_alpha_min, p.rect, radius)) return 0;
    const int width = rect_width(p.rect);
    const bool masked = rect_tiles(p.rect) <= MASK_TILES;
    int64_t touched = 0;
    visit_tiles(p.footprint, footprint_reach(p.footprint, log2_alpha_min), p.rect, [&](int row, int first, int last) {
        touched += last - first;
        if (masked)
            for (int column = first; column < last; ++column)
                p.mask |= uint64_t(1) << ((row - p.rect.y0) * width + column - p.rect.x0);
    });
    return touched;
}

}  // namespace

// Fills projected, radii and intersection_offsets, and tells the number of intersections.
template <class S> void project(RenderArguments& a) {
    const TileGrid grid(a);
    const ProjectionSettings<S> settings = projection_settings<S>(a);
    const S log2_alpha_min = log_base2(settings.alpha_min);
    int64_t* counts = at<int64_t>(a.intersection_offsets);
    for (int64_t c = 0; c < a.cameras; ++c) {
        const PinholeCamera<S> camera = camera_of<S>(a, c);
        parallel_chunks(a.threads, a.gaussians, CHUNK, [&](int64_t begin, int64_t end, int) {
            ProjectedGaussian<S> full;
            for (int64_t i = begin; i < end; ++i) {
                Projected<Footprint<S>>& p = at<Projected<Footprint<S>>>(a.projected)[c * a.gaussians + i];
                S& radius = at<S>(a.radii)[c * a.gaussians + i];
                int64_t& count = counts[c * a.gaussians + i];
                radius = S(0), count = 0, p = Projected<Footprint<S>>{};
                if (!project_gaussian(gaussian_of<S>(a, i), camera, settings, full)) continue;
                p.footprint = full.footprint, p.depth = full.point.z;
                count = cover_tiles(a, grid, log2_alpha_min, p, radius);
                if (count > 0 && !shade(a, i, camera, p.rgb)) radius = S(0), count = 0;
                p.tiles = uint32_t(count);
            }
        });
    }
    int64_t total = 0;
    for (int64_t i = 0; i < a.cameras * a.gaussians; ++i) {
        const int64_t count = counts[i];
        counts[i] = total;
        total += count;
    }
    counts[a.cameras * a.gaussians] = total;
    a.intersection_count = total;
}

template void project<float>(RenderArguments&);
template void project<double>(RenderArguments&);

SPLAT_NAMESPACE_END
