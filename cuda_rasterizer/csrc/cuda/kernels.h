// The CUDA kernels as a table, and what can be known about GPUs without torch.
#pragma once

#include <string>

#include "arguments.h"

namespace splat {

extern const Kernels kernels_cuda;

// Of the toolkit that compiled the kernels, and of the driver (0: none): 1000 * major + 10 * minor.
int cuda_toolkit_version();
int cuda_driver_version();

}  // namespace splat
