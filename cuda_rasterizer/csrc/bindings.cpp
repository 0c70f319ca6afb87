// _splat_native: plain structs of integers in, kernels run with the interpreter lock released. Never sees torch.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "cpu/dispatch.h"
#include "cpu/memory.h"

namespace nb = nanobind;
using namespace splat;

namespace {

// Raised when a struct here changes: cuda_rasterizer/native.py refuses a module of another number.
constexpr int ABI = 1;

const Kernels* chosen = nullptr;

std::vector<std::string> supported() {
    std::vector<std::string> names;
    for (const Kernels* const* k = supported_kernels(); *k; ++k) names.emplace_back((*k)->name);
    return names;
}

// Chooses an instruction set by name; the best one if empty.
void choose(const std::string& name) {
    for (const Kernels* const* k = supported_kernels(); *k; ++k) {
        if (name.empty() || name == (*k)->name) {
            chosen = *k;
            return;
        }
    }
    throw std::invalid_argument("this build or processor has no CPU kernels named '" + name + "'");
}

}  // namespace

NB_MODULE(_splat_native, m) {
    m.attr("ABI") = ABI;
    m.attr("COMPILER") = __VERSION__;
    m.attr("COMPILED_VARIANTS") = compiled_variants();
    choose("");
    m.def("supported_variants", &supported,
          "Instruction sets that were compiled and that this processor runs, best first.");
    m.def("variant", [] { return std::string(chosen->name); }, "The instruction set in use.");
    m.def("choose_variant", &choose, nb::arg("name"), "Use another instruction set.");

    m.def("advise_huge_pages", &advise_huge_pages, nb::arg("address"), nb::arg("bytes"));

    // clang-format off
    nb::class_<RenderArguments>(m, "RenderArguments")
        .def(nb::init<>())
#define SPLAT_FIELD(name) .def_rw(#name, &RenderArguments::name)
        SPLAT_FIELD(gaussians) SPLAT_FIELD(cameras) SPLAT_FIELD(width) SPLAT_FIELD(height) SPLAT_FIELD(sh_degree)
        SPLAT_FIELD(sh_rest_count) SPLAT_FIELD(features_count) SPLAT_FIELD(features_per_camera) SPLAT_FIELD(with_depth)
        SPLAT_FIELD(antialiased) SPLAT_FIELD(is_double) SPLAT_FIELD(threads) SPLAT_FIELD(near) SPLAT_FIELD(far)
        SPLAT_FIELD(eps2d) SPLAT_FIELD(alpha_max) SPLAT_FIELD(alpha_min) SPLAT_FIELD(transmittance_min)
        SPLAT_FIELD(frustum_margin) SPLAT_FIELD(means) SPLAT_FIELD(quats) SPLAT_FIELD(log_scales)
        SPLAT_FIELD(logit_opacities) SPLAT_FIELD(sh0) SPLAT_FIELD(sh_rest) SPLAT_FIELD(features) SPLAT_FIELD(viewmats)
        SPLAT_FIELD(Ks) SPLAT_FIELD(background) SPLAT_FIELD(projected) SPLAT_FIELD(pair_offsets) SPLAT_FIELD(pairs)
        SPLAT_FIELD(tile_offsets) SPLAT_FIELD(transmittance) SPLAT_FIELD(radii) SPLAT_FIELD(rgb) SPLAT_FIELD(depth)
        SPLAT_FIELD(median_depth) SPLAT_FIELD(image_features) SPLAT_FIELD(v_rgb) SPLAT_FIELD(v_alpha) SPLAT_FIELD(v_depth)
        SPLAT_FIELD(v_median_depth) SPLAT_FIELD(v_image_features) SPLAT_FIELD(v_means) SPLAT_FIELD(v_quats)
        SPLAT_FIELD(v_log_scales) SPLAT_FIELD(v_logit_opacities) SPLAT_FIELD(v_sh0) SPLAT_FIELD(v_sh_rest)
        SPLAT_FIELD(v_features) SPLAT_FIELD(v_viewmats) SPLAT_FIELD(v_Ks) SPLAT_FIELD(v_mean2d) SPLAT_FIELD(v_mean2d_abs)
        SPLAT_FIELD(scratch) SPLAT_FIELD(pair_gradients) SPLAT_FIELD(evaluations);
#undef SPLAT_FIELD
#define SPLAT_FIELD(name) .def_rw(#name, &LossArguments::name)
    nb::class_<LossArguments>(m, "LossArguments")
        .def(nb::init<>())
        SPLAT_FIELD(images) SPLAT_FIELD(width) SPLAT_FIELD(height) SPLAT_FIELD(target_is_uint8) SPLAT_FIELD(threads)
        SPLAT_FIELD(ssim_weight) SPLAT_FIELD(image) SPLAT_FIELD(target) SPLAT_FIELD(v_image) SPLAT_FIELD(sums)
        SPLAT_FIELD(scratch);
#undef SPLAT_FIELD
#define SPLAT_FIELD(name) .def_rw(#name, &AdamArguments::name)
    nb::class_<AdamArguments>(m, "AdamArguments")
        .def(nb::init<>())
        SPLAT_FIELD(rows) SPLAT_FIELD(columns) SPLAT_FIELD(threads) SPLAT_FIELD(lr) SPLAT_FIELD(beta1) SPLAT_FIELD(beta2)
        SPLAT_FIELD(eps) SPLAT_FIELD(step) SPLAT_FIELD(parameter) SPLAT_FIELD(gradient) SPLAT_FIELD(exp_avg)
        SPLAT_FIELD(exp_avg_sq) SPLAT_FIELD(visible);
#undef SPLAT_FIELD

    // clang-format on

    using Release = nb::call_guard<nb::gil_scoped_release>;
    m.def("projected_bytes", [](const RenderArguments& a) { return chosen->projected_bytes(a); });
    m.def("forward_scratch_bytes", [](const RenderArguments& a) { return chosen->forward_scratch_bytes(a); });
    m.def("backward_scratch_bytes", [](const RenderArguments& a) { return chosen->backward_scratch_bytes(a); });
    m.def("pair_gradient_floats", [](const RenderArguments& a) { return chosen->pair_gradient_floats(a); });
    m.def("project", [](const RenderArguments& a) { return chosen->project(a); }, Release());
    m.def("bin", [](const RenderArguments& a) { chosen->bin(a); }, Release());
    m.def("rasterize_forward", [](const RenderArguments& a) { chosen->rasterize_forward(a); }, Release());
    m.def("rasterize_backward", [](const RenderArguments& a) { chosen->rasterize_backward(a); }, Release());
    m.def("project_backward", [](const RenderArguments& a) { chosen->project_backward(a); }, Release());
    m.def("loss_scratch_bytes", [](const LossArguments& a) { return chosen->loss_scratch_bytes(a); });
    m.def("loss", [](const LossArguments& a) { chosen->loss(a); }, Release());
    m.def("adam", [](const AdamArguments& a) { chosen->adam(a); }, Release());
}
