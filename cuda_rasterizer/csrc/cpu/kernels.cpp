// The table of this instruction set's kernels. Compiled once per variant.
#include "cpu/optimization.h"
#include "cpu/stages.h"

#define SPLAT_STRING(x) #x
#define SPLAT_NAME(x) SPLAT_STRING(x)
#define SPLAT_JOIN(a, b) a##b
#define SPLAT_TABLE(variant) SPLAT_JOIN(kernels_, variant)

namespace splat {
inline namespace SPLAT_VARIANT {
namespace {

int64_t projected_bytes(const RenderArguments& a) {
    return a.is_double ? int64_t(sizeof(Projected<Footprint<double>>)) : int64_t(sizeof(Projected<Footprint<float>>));
}
int64_t intersection_bytes(const RenderArguments&) { return int64_t(sizeof(Intersection)); }
int64_t project_scratch_bytes(const RenderArguments&) { return 0; }
int64_t gradient_rows(const RenderArguments& a) { return a.intersection_count; }
int64_t intersection_gradient_floats(const RenderArguments& a) {
    return Footprint<float>::MOMENTS + channels_of(a) + (a.v_mean2d_abs ? 2 : 0);
}
void project_any(RenderArguments& a) { a.is_double ? project<double>(a) : project<float>(a); }
void count_already_told(RenderArguments&) {}
void bin_any(const RenderArguments& a) { a.is_double ? bin<double>(a) : bin<float>(a); }
void forward_any(const RenderArguments& a) { a.is_double ? rasterize_forward<double>(a) : rasterize_forward<float>(a); }
void contribution_any(const RenderArguments& a) { a.is_double ? contribution<double>(a) : contribution<float>(a); }
void backward_any(const RenderArguments& a) {
    a.is_double ? rasterize_backward<double>(a) : rasterize_backward<float>(a);
}

void project_backward_any(const RenderArguments& a) {
    a.is_double ? project_backward<double>(a) : project_backward<float>(a);
}

}  // namespace
}  // namespace SPLAT_VARIANT

extern const Kernels SPLAT_TABLE(SPLAT_VARIANT);
const Kernels SPLAT_TABLE(SPLAT_VARIANT) = {SPLAT_NAME(SPLAT_VARIANT),
                                            projected_bytes,
                                            intersection_bytes,
                                            project_scratch_bytes,
                                            forward_scratch_bytes,
                                            backward_scratch_bytes,
                                            gradient_rows,
                                            intersection_gradient_floats,
                                            project_any,
                                            count_already_told,
                                            bin_any,
                                            forward_any,
                                            contribution_any,
                                            backward_any,
                                            project_backward_any,
                                            loss_scratch_bytes,
                                            loss,
                                            adam};

}  // namespace splat
