// Which of the compiled instruction sets this processor runs.
#pragma once

#include "arguments.h"

namespace splat {

// The compiled variants that this processor supports, best first, ended by nullptr.
const Kernels* const* supported_kernels();

// All compiled variants' names, separated by spaces.
const char* compiled_variants();

}  // namespace splat
