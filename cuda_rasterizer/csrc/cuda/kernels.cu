// The table of the CUDA kernels, and the one place that explains what CUDA reports.
#include "cuda/kernels.h"
#include "cuda/stages.h"

namespace splat {

namespace {

int64_t projected_bytes(const RenderArguments& a) {
    return a.is_double ? int64_t(sizeof(Projected<Footprint<double>>)) : int64_t(sizeof(Projected<Footprint<float>>));
}
int64_t intersection_bytes(const RenderArguments&) { return int64_t(sizeof(uint32_t)); }
int64_t project_scratch_bytes(const RenderArguments& a) { return ProjectScratch(a).bytes; }

}  // namespace

#if defined(SPLAT_EMULATION)

void check_cuda(cudaError_t, const char*) {}
int cuda_toolkit_version() { return 0; }
int cuda_driver_version() { return 0; }

#else

void check_cuda(cudaError_t status, const char* what) {
    if (status == cudaSuccess) return;
    std::string message = std::string("CUDA reports for ") + what + ": " + cudaGetErrorString(status);
    switch (status) {
        case cudaErrorNoKernelImageForDevice:
        case cudaErrorInvalidDeviceFunction:
        case cudaErrorUnsupportedPtxVersion:
            message +=
                ". This build has no code for this GPU: run `pip install .` again on this machine, which then "
                "compiles for the GPU it sees, or set CUDAARCHS";
            break;
        case cudaErrorInsufficientDriver:
            message +=
                ". The driver is older than the CUDA toolkit that compiled splat: update the driver, or install "
                "again with an older toolkit";
            break;
        case cudaErrorNoDevice:
            message += ". No GPU is visible: see `nvidia-smi` and CUDA_VISIBLE_DEVICES, or use device='cpu'";
            break;
        case cudaErrorMemoryAllocation:
            message += ". Draw fewer Gaussians or a smaller image";
            break;
        default:
            break;
    }
    throw std::runtime_error(message);
}

int cuda_toolkit_version() { return CUDART_VERSION; }
int cuda_driver_version() {
    int version = 0;
    return cudaDriverGetVersion(&version) == cudaSuccess ? version : 0;
}

#endif

const Kernels kernels_cuda = {"cuda",
                              projected_bytes,
                              intersection_bytes,
                              project_scratch_bytes,
                              cuda::forward_scratch_bytes,
                              cuda::backward_scratch_bytes,
                              cuda::gradient_rows,
                              cuda::intersection_gradient_floats,
                              cuda::project,
                              cuda::count,
                              cuda::bin,
                              cuda::rasterize_forward,
                              cuda::contribution,
                              cuda::rasterize_backward,
                              cuda::project_backward,
                              cuda::loss_scratch_bytes,
                              cuda::loss,
                              cuda::adam};

}  // namespace splat
