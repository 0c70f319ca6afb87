// Projection: every Gaussian by every camera, to a footprint, a depth, a colour and the list of tiles it touches.
//
// A task takes 512 Gaussians of one camera. Colour is evaluated only for Gaussians that touch a tile: with 48
// coefficients each it would otherwise be most of the memory traffic, which bounds this stage together with exp and sqrt.
#include "cpu/parallel_for.h"
#include "cpu/stages.h"

SPLAT_NAMESPACE_BEGIN

namespace {

constexpr int64_t CHUNK = 512;

// False where a coefficient is not finite.
template <class S> bool shade(const RenderArguments& a, int64_t i, const PinholeCamera<S>& camera, S* rgb) {
    S Y[SH_BASES_MAX], length;
    const int degree = int(a.sh_degree);
    const Vec3<S> direction = normalize(load3(at<const S>(a.means) + 3 * i) - camera.position, length);
    sh_basis(degree, direction, Y);
    const S* sh0 = at<const S>(a.sh0) + 3 * i;
    const S* rest = at<const S>(a.sh_rest) + 3 * a.sh_rest_count * i;
    S r = Y[0] * sh0[0], g = Y[0] * sh0[1], b = Y[0] * sh0[2];
    for (int k = 1; k < sh_bases(degree); ++k, rest += 3) {
        r += Y[k] * rest[0];
        g += Y[k] * rest[1];
        b += Y[k] * rest[2];
    }
    rgb[0] = larger(r + S(0.5), S(0)), rgb[1] = larger(g + S(0.5), S(0)), rgb[2] = larger(b + S(0.5), S(0));
    return is_finite(r) && is_finite(g) && is_finite(b);
}

// Returns the number of tiles touched, filling `rect` and `mask`, and the larger half-extent in `radius`.
template <class S>
int64_t cover_tiles(const RenderArguments& a, const TileGrid& grid, S log2_alpha_min, Projected<Footprint<S>>& p,
                    S& radius) {
    const S reach = footprint_reach(p.footprint, log2_alpha_min);
    S half_x, half_y;
    footprint_extent(p.footprint, reach, half_x, half_y);
    const S x0 = p.footprint.x - half_x, x1 = p.footprint.x + half_x;
    const S y0 = p.footprint.y - half_y, y1 = p.footprint.y + half_y;
    if (!(x1 > S(0) && y1 > S(0) && x0 < S(a.width) && y0 < S(a.height))) return 0;
    S exact_x, exact_y;
    footprint_extent(p.footprint, larger(p.footprint.log2_opacity - log2_alpha_min, S(0)), exact_x, exact_y);
    radius = larger(exact_x, exact_y);
    p.rect.x0 = uint16_t(larger(x0, S(0)) / TILE), p.rect.y0 = uint16_t(larger(y0, S(0)) / TILE);
    p.rect.x1 = uint16_t(smaller(S(grid.columns), x1 / TILE + 1)),
    p.rect.y1 = uint16_t(smaller(S(grid.rows), y1 / TILE + 1));
    const int width = p.rect.x1 - p.rect.x0, height = p.rect.y1 - p.rect.y0;
    int64_t touched = 0;
    visit_tiles(p.footprint, reach, p.rect, [&](int row, int first, int last) {
        touched += last - first;
        if (width * height <= 64)
            for (int column = first; column < last; ++column)
                p.mask |= uint64_t(1) << ((row - p.rect.y0) * width + column - p.rect.x0);
    });
    return touched;
}

}  // namespace

// Fills projected, radii and pair_offsets; returns the number of pairs.
template <class S> int64_t project(const RenderArguments& a) {
    const TileGrid grid(a);
    const ProjectionSettings<S> settings = projection_settings<S>(a);
    const S log2_alpha_min = log_base2(settings.alpha_min);
    int64_t* counts = at<int64_t>(a.pair_offsets);
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
    return total;
}

template int64_t project<float>(const RenderArguments&);
template int64_t project<double>(const RenderArguments&);

SPLAT_NAMESPACE_END
