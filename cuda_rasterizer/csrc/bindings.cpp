// _splat_native: plain structs of integers in, kernels run with the interpreter lock released. Never sees torch.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "cpu/dispatch.h"
#include "cpu/entropy.h"
#include "cpu/memory.h"
#include "cpu/octree.h"
#include "records.h"
#if defined(SPLAT_HAS_CUDA)
#include "cuda/kernels.h"
#endif
#if defined(SPLAT_EMULATION)
#include "emulation/faulty.h"
#include "emulation/fibers.h"
#endif

namespace nb = nanobind;
using namespace splat;

namespace {

// Raised when a struct, function or constant here changes: cuda_rasterizer/native.py refuses a module of another number.
constexpr int ABI = 8;

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

// The kernels for the device of the arguments: a CUDA device, or -1 for the CPU.
template <class A> const Kernels& kernels_for(const A& a) {
    if (a.device < 0) return *chosen;
#if defined(SPLAT_HAS_CUDA)
    return kernels_cuda;
#else
    throw std::runtime_error("this build has no CUDA kernels");
#endif
}

}  // namespace

#if defined(SPLAT_EMULATION)
NB_MODULE(_splat_emulated, m) {
    m.def("set_seed", &emulation::set_seed, nb::arg("seed"), "Order in which threads and blocks run.");
#if defined(SPLAT_RACES)
    m.attr("FINDS_RACES") = true;
#else
    m.attr("FINDS_RACES") = false;
#endif
    m.def("run_faulty", &emulation::run_faulty, nb::arg("fault"), "A kernel with a fault that must be found.");
#else
NB_MODULE(_splat_native, m) {
#endif
    // At the interpreter's end torch's threads may still hold arguments of their last calls: no news for anybody.
    nb::set_leak_warnings(false);
    m.attr("ABI") = ABI;
    m.attr("TILE") = TILE;
    m.attr("IMAGE_SIDE_MAX") = IMAGE_SIDE_MAX;
    m.attr("SH_DEGREE_MAX") = SH_DEGREE_MAX;
    m.attr("CONTRIBUTIONS") = CONTRIBUTIONS;
    m.attr("ADAM_PARAMETERS_MAX") = ADAM_PARAMETERS_MAX;
    m.attr("COMPILER") = __VERSION__;
    m.attr("COMPILED_VARIANTS") = compiled_variants();
    choose("");
#if defined(SPLAT_HAS_CUDA)
    m.attr("CUDA_ARCHITECTURES") = SPLAT_CUDA_ARCHITECTURES;
    m.attr("CUDA_TOOLKIT") = cuda_toolkit_version();
    m.def("cuda_driver_version", &cuda_driver_version, "1000 * major + 10 * minor; 0 where there is no driver.");
#endif
    m.def("supported_variants", &supported,
          "Instruction sets that were compiled and that this processor runs, best first.");
    m.def("variant", [] { return std::string(chosen->name); }, "The instruction set in use.");
    m.def("choose_variant", &choose, nb::arg("name"), "Use another instruction set.");

    m.def("advise_huge_pages", &advise_huge_pages, nb::arg("address"), nb::arg("bytes"));

    // clang-format off
    nb::class_<RenderArguments> render_arguments(m, "RenderArguments");
    render_arguments
        .def(nb::init<>())
#define SPLAT_FIELD(name) .def_rw(#name, &RenderArguments::name)
        SPLAT_FIELD(gaussians) SPLAT_FIELD(cameras) SPLAT_FIELD(width) SPLAT_FIELD(height) SPLAT_FIELD(sh_degree)
        SPLAT_FIELD(sh_rest_count) SPLAT_FIELD(features_count) SPLAT_FIELD(features_per_camera) SPLAT_FIELD(with_depth)
        SPLAT_FIELD(antialiased) SPLAT_FIELD(is_double) SPLAT_FIELD(deterministic) SPLAT_FIELD(threads) SPLAT_FIELD(device)
        SPLAT_FIELD(stream) SPLAT_FIELD(intersection_count) SPLAT_FIELD(visible_count) SPLAT_FIELD(intersection_capacity) SPLAT_FIELD(visible_capacity) SPLAT_FIELD(near) SPLAT_FIELD(far)
        SPLAT_FIELD(eps2d) SPLAT_FIELD(alpha_max) SPLAT_FIELD(alpha_min) SPLAT_FIELD(transmittance_min)
        SPLAT_FIELD(frustum_margin) SPLAT_FIELD(means) SPLAT_FIELD(quats) SPLAT_FIELD(log_scales)
        SPLAT_FIELD(logit_opacities) SPLAT_FIELD(sh0) SPLAT_FIELD(sh_rest) SPLAT_FIELD(features) SPLAT_FIELD(viewmats)
        SPLAT_FIELD(Ks) SPLAT_FIELD(background) SPLAT_FIELD(projected) SPLAT_FIELD(intersection_offsets) SPLAT_FIELD(intersections)
        SPLAT_FIELD(tile_offsets) SPLAT_FIELD(transmittance) SPLAT_FIELD(radii) SPLAT_FIELD(rgb) SPLAT_FIELD(depth)
        SPLAT_FIELD(median_depth) SPLAT_FIELD(image_features) SPLAT_FIELD(pixel_weights) SPLAT_FIELD(weight_sums)
        SPLAT_FIELD(weight_maxima) SPLAT_FIELD(pixel_counts) SPLAT_FIELD(removal_changes) SPLAT_FIELD(v_rgb) SPLAT_FIELD(v_alpha) SPLAT_FIELD(v_depth)
        SPLAT_FIELD(v_median_depth) SPLAT_FIELD(v_image_features) SPLAT_FIELD(v_means) SPLAT_FIELD(v_quats)
        SPLAT_FIELD(v_log_scales) SPLAT_FIELD(v_logit_opacities) SPLAT_FIELD(v_sh0) SPLAT_FIELD(v_sh_rest)
        SPLAT_FIELD(v_features) SPLAT_FIELD(v_viewmats) SPLAT_FIELD(v_Ks) SPLAT_FIELD(v_mean2d) SPLAT_FIELD(v_mean2d_abs)
        SPLAT_FIELD(project_scratch) SPLAT_FIELD(scratch) SPLAT_FIELD(intersection_gradients) SPLAT_FIELD(evaluations)
        SPLAT_FIELD(adam_visible_only) SPLAT_FIELD(adam_step) SPLAT_FIELD(adam_beta1) SPLAT_FIELD(adam_beta2) SPLAT_FIELD(adam_eps);
#undef SPLAT_FIELD
    render_arguments.def("fuse_adam", [](RenderArguments& a, int k, uint64_t exp_avg, uint64_t exp_avg_sq, double lr) {
        if (k < 0 || k >= 6) throw std::invalid_argument("there are six parameters");
        a.fuse_adam = true, a.exp_avg[k] = exp_avg, a.exp_avg_sq[k] = exp_avg_sq, a.adam_lr[k] = lr;
    });
#define SPLAT_FIELD(name) .def_rw(#name, &LossArguments::name)
    nb::class_<LossArguments>(m, "LossArguments")
        .def(nb::init<>())
        SPLAT_FIELD(images) SPLAT_FIELD(width) SPLAT_FIELD(height) SPLAT_FIELD(target_is_uint8) SPLAT_FIELD(threads)
        SPLAT_FIELD(device) SPLAT_FIELD(stream)
        SPLAT_FIELD(ssim_weight) SPLAT_FIELD(image) SPLAT_FIELD(target) SPLAT_FIELD(v_image) SPLAT_FIELD(sums) SPLAT_FIELD(loss)
        SPLAT_FIELD(scratch);
#undef SPLAT_FIELD
#define SPLAT_FIELD(name) .def_rw(#name, &AdamArguments::name)
    nb::class_<AdamArguments>(m, "AdamArguments")
        .def(nb::init<>())
        SPLAT_FIELD(threads) SPLAT_FIELD(device) SPLAT_FIELD(stream) SPLAT_FIELD(beta1) SPLAT_FIELD(beta2) SPLAT_FIELD(eps)
        SPLAT_FIELD(step) SPLAT_FIELD(visible) SPLAT_FIELD(clock)
#undef SPLAT_FIELD
        // clang-format on
        .def(
            "add",
            [](AdamArguments& a, int64_t rows, int64_t columns, double lr, uint64_t parameter, uint64_t gradient,
               uint64_t exp_avg, uint64_t exp_avg_sq) {
                if (a.parameters >= ADAM_PARAMETERS_MAX)
                    throw std::invalid_argument("one call steps at most " + std::to_string(ADAM_PARAMETERS_MAX) +
                                                " parameters");
                a.parameter[a.parameters++] = {rows, columns, lr, parameter, gradient, exp_avg, exp_avg_sq};
            },
            nb::arg("rows"), nb::arg("columns"), nb::arg("lr"), nb::arg("parameter"), nb::arg("gradient"),
            nb::arg("exp_avg"), nb::arg("exp_avg_sq"), "One more parameter to step.");

    using Release = nb::call_guard<nb::gil_scoped_release>;
#define SPLAT_SIZE(name) m.def(#name, [](const RenderArguments& a) { return kernels_for(a).name(a); })
    SPLAT_SIZE(projected_bytes);
    SPLAT_SIZE(intersection_bytes);
    SPLAT_SIZE(project_scratch_bytes);
    SPLAT_SIZE(forward_scratch_bytes);
    SPLAT_SIZE(backward_scratch_bytes);
    SPLAT_SIZE(gradient_rows);
    SPLAT_SIZE(intersection_gradient_floats);
#undef SPLAT_SIZE
    m.def("project", [](RenderArguments& a) { kernels_for(a).project(a); }, Release());
    m.def("count", [](RenderArguments& a) { kernels_for(a).count(a); }, Release());
    m.def("bin", [](const RenderArguments& a) { kernels_for(a).bin(a); }, Release());
    m.def("rasterize_forward", [](const RenderArguments& a) { kernels_for(a).rasterize_forward(a); }, Release());
    m.def("contribution", [](const RenderArguments& a) { kernels_for(a).contribution(a); }, Release());
    m.def("rasterize_backward", [](const RenderArguments& a) { kernels_for(a).rasterize_backward(a); }, Release());
    m.def("project_backward", [](const RenderArguments& a) { kernels_for(a).project_backward(a); }, Release());
    m.def("loss_scratch_bytes", [](const LossArguments& a) { return kernels_for(a).loss_scratch_bytes(a); });
    m.def("loss", [](const LossArguments& a) { kernels_for(a).loss(a); }, Release());
    m.def("adam", [](const AdamArguments& a) { kernels_for(a).adam(a); }, Release());
    nb::class_<Symbols>(m, "Symbols")
        .def(nb::init<uint64_t, uint64_t, uint64_t, int64_t, int, int, int, int>(), nb::arg("values"),
             nb::arg("contexts"), nb::arg("shifts"), nb::arg("count"), nb::arg("bits"), nb::arg("context_count"),
             nb::arg("low"), nb::arg("bucket"));
    m.def("encode_symbols", &encode_symbols, nb::arg("symbols"), nb::arg("out"), nb::arg("capacity"), Release());
    m.def("decode_symbols", &decode_symbols, nb::arg("symbols"), nb::arg("data"), nb::arg("size"), nb::arg("far"),
          nb::arg("far_count"), Release());
    m.def("expand_nodes", &expand_nodes, nb::arg("nodes"), nb::arg("occupancy"), nb::arg("count"), nb::arg("children"),
          nb::arg("siblings"), Release());
    m.def("place_cells", &place_cells, nb::arg("leaves"), nb::arg("counts"), nb::arg("leaf_count"), nb::arg("bits"),
          nb::arg("data"), nb::arg("size"), nb::arg("cells"), Release());
}
