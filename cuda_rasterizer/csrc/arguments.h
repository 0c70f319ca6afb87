// What crosses the border between Python and the kernels: sizes, thresholds, and addresses as integers. Address 0 means
// "not given" for an input and "not wanted" for an output. Python owns all memory; the kernels allocate none.
#pragma once

#include <cstdint>

namespace splat {

// What contribution keeps of every intersection on the CPU: weight, largest weight, pixels, squared change.
constexpr int CONTRIBUTIONS = 4;

// One render of N Gaussians by C cameras, W x H pixels each, with F feature channels. Floating-point arrays are float,
// or double when is_double.
struct RenderArguments {
    int64_t gaussians = 0, cameras = 0, width = 0, height = 0;
    int64_t sh_degree = 0;       // evaluated
    int64_t sh_rest_count = 0;   // stored coefficients per Gaussian beside the constant one
    int64_t features_count = 0;  // F
    bool features_per_camera = false;
    bool with_depth = false;
    bool antialiased = false;
    bool is_double = false;
    bool deterministic = false;  // CUDA: gradients are added up in one order, at the cost of memory
    int64_t threads = 1;         // CPU
    int64_t device = -1;         // CUDA device; -1: the CPU
    uint64_t stream = 0;         // of that device
    double near = 0, far = 0, eps2d = 0, alpha_max = 0, alpha_min = 0, transmittance_min = 0, frustum_margin = 0;

    // Inputs
    uint64_t means = 0;            // [N, 3]
    uint64_t quats = 0;            // [N, 4]
    uint64_t log_scales = 0;       // [N, 3]
    uint64_t logit_opacities = 0;  // [N]
    uint64_t sh0 = 0;              // [N, 3]
    uint64_t sh_rest = 0;          // [N, sh_rest_count, 3]
    uint64_t features = 0;         // [N, F] or [C, N, F]
    uint64_t viewmats = 0;         // [C, 4, 4]
    uint64_t Ks = 0;               // [C, 3, 3]
    uint64_t background = 0;       // [C, 3]
    uint64_t pixel_weights = 0;    // [C, H, W] how much every pixel counts, for contribution

    // How many intersections and drawn rows there are. project() tells both, unless intersection_capacity is given: then
    // nobody waits for the device, there is room for so many, and an image that needs more becomes NaN. With
    // visible_capacity, a guess too, count() can be asked after the later stages have been started.
    int64_t intersection_count = 0, visible_count = 0, intersection_capacity = 0, visible_capacity = 0;

    // Kept from the forward for the backward
    uint64_t projected = 0;  // [C, N] records of projected_bytes
    uint64_t intersection_offsets =
        0;  // [C * N + 1] int64: where each Gaussian's intersections begin. CUDA: only if deterministic
    uint64_t intersections =
        0;  // [P] of intersection_bytes, by tile, then by depth. CPU: Gaussian, slot; CUDA: camera * N + i
    uint64_t tile_offsets = 0;   // [C * tiles + 1] int64: where each tile's intersections begin
    uint64_t transmittance = 0;  // [C, H, W] final

    // Outputs
    uint64_t radii = 0;           // [C, N]
    uint64_t rgb = 0;             // [C, H, W, 3]
    uint64_t depth = 0;           // [C, H, W] sum of weight * depth
    uint64_t median_depth = 0;    // [C, H, W]
    uint64_t image_features = 0;  // [C, H, W, F]

    // Outputs of contribution, over all cameras
    uint64_t weight_sums = 0;      // [N] double: sum over pixels of the blend weight, times the pixel's
    uint64_t weight_maxima = 0;    // [N] largest such weight
    uint64_t pixel_counts = 0;     // [N] int64: pixels where it is positive
    uint64_t removal_changes = 0;  // [N] double: squared change of the image if only this Gaussian were left out

    // Gradients with respect to the outputs
    uint64_t v_rgb = 0, v_alpha = 0, v_depth = 0, v_median_depth = 0, v_image_features = 0;

    // Gradients with respect to the inputs
    uint64_t v_means = 0, v_quats = 0, v_log_scales = 0, v_logit_opacities = 0, v_sh0 = 0, v_sh_rest = 0,
             v_features = 0;
    uint64_t v_viewmats = 0, v_Ks = 0;
    uint64_t v_mean2d = 0, v_mean2d_abs = 0;  // [C, N, 2] NDC-scaled

    // CUDA, float: one Adam step inside project_backward, in place of writing the gradients with respect to the Gaussians. The arrays
    // are those of means, quats, log_scales, logit_opacities, sh0 and sh_rest.
    bool fuse_adam = false, adam_visible_only = false;
    int64_t adam_step = 1;
    double adam_beta1 = 0, adam_beta2 = 0, adam_eps = 0, adam_lr[6] = {};
    uint64_t exp_avg[6] = {}, exp_avg_sq[6] = {};

    // Scratch
    uint64_t project_scratch = 0;  // project_scratch_bytes, from project to rasterize_forward
    uint64_t scratch = 0;          // forward_scratch_bytes or backward_scratch_bytes
    uint64_t intersection_gradients =
        0;  // [gradient_rows, intersection_gradient_floats]; contribution, CPU: [intersections, CONTRIBUTIONS]
    uint64_t evaluations =
        0;  // [threads], CUDA [1], int64: pixels times Gaussians that were evaluated, added to; for benchmarks
};

// Fused L1 + SSIM loss of C images, H x W x 3.
struct LossArguments {
    int64_t images = 0, width = 0, height = 0;
    bool target_is_uint8 = false;
    int64_t threads = 1;
    int64_t device = -1;
    uint64_t stream = 0;
    double ssim_weight = 0;
    uint64_t image = 0;    // [C, H, W, 3] float
    uint64_t target = 0;   // [C, H, W, 3] float in 0..1, or uint8
    uint64_t v_image = 0;  // [C, H, W, 3] gradient of the loss by the image, or 0
    uint64_t sums = 0;     // [2] double: mean absolute error, mean SSIM
    uint64_t loss = 0;     // [1] float: (1 - ssim_weight) * l1 + ssim_weight * (1 - ssim), or 0
    uint64_t scratch = 0;
};

// A parameter that a step of Adam changes, with `rows` rows of `columns` floats.
struct AdamParameter {
    int64_t rows = 0, columns = 0;
    double lr = 0;
    uint64_t parameter = 0, gradient = 0, exp_avg = 0, exp_avg_sq = 0;
};
constexpr int ADAM_PARAMETERS_MAX = 8;

// One Adam step of several parameters.
struct AdamArguments {
    int64_t threads = 1;
    int64_t device = -1;
    uint64_t stream = 0;
    double beta1 = 0, beta2 = 0, eps = 0;
    int64_t step = 1;      // counted from 1
    uint64_t visible = 0;  // [rows] bool, the same rows for all parameters: other rows are left alone; 0: all rows
    uint64_t clock = 0;    // [2] double on the device: step, in place of the number above, and a factor of all lr
    int64_t parameters = 0;
    AdamParameter parameter[ADAM_PARAMETERS_MAX];
};

// What one instruction set, or one device, offers.
struct Kernels {
    const char* name;
    int64_t (*projected_bytes)(const RenderArguments&);
    int64_t (*intersection_bytes)(const RenderArguments&);
    int64_t (*project_scratch_bytes)(const RenderArguments&);
    int64_t (*forward_scratch_bytes)(const RenderArguments&);
    int64_t (*backward_scratch_bytes)(const RenderArguments&);
    int64_t (*gradient_rows)(const RenderArguments&);
    int64_t (*intersection_gradient_floats)(const RenderArguments&);
    void (*project)(RenderArguments&);  // tells intersection_count and visible_count
    void (*count)(RenderArguments&);    // after project with a visible_capacity: the true counts, waiting for them
    void (*bin)(const RenderArguments&);
    void (*rasterize_forward)(const RenderArguments&);
    void (*contribution)(const RenderArguments&);  // after rasterize_forward
    void (*rasterize_backward)(const RenderArguments&);
    void (*project_backward)(const RenderArguments&);
    int64_t (*loss_scratch_bytes)(const LossArguments&);
    void (*loss)(const LossArguments&);
    void (*adam)(const AdamArguments&);
};

}  // namespace splat
