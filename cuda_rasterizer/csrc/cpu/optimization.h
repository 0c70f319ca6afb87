// The two training kernels beside the rasterizer: the fused loss and the fused optimizer step.
#pragma once

#include "arguments.h"
#include "variant.h"

SPLAT_NAMESPACE_BEGIN

int64_t loss_scratch_bytes(const LossArguments& a);
void loss(const LossArguments& a);
void adam(const AdamArguments& a);

SPLAT_NAMESPACE_END
