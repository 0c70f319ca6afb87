"""Learnable masks (Lee et al. 2023, Compact 3D Gaussian Representation): Gaussians that are not needed switch themselves off.

Every Gaussian has a logit m. Its mask is 1 where sigmoid(m) > 0.01 and 0 elsewhere; it multiplies scale and opacity, and
its gradient goes straight through to sigmoid(m), whose mean is part of the loss.
"""

import torch
from torch import Tensor

from splat.gaussians import Gaussians

MASK = "mask"
"""Name of the logits among an optimizer's parameters."""
MASK_START = 1.0
MASK_THRESHOLD = 0.01
HIDDEN_LOGIT = -20.0
"""Opacity logit of what is switched off: far below anything that is drawn."""


def masked(gaussians: Gaussians, logits: Tensor) -> Gaussians:
    """The Gaussians with their masks applied.

    Those that are on keep their bits. The gradient with respect to sigmoid(m) is that of opacity and scale times the mask, at
    mask 1.
    """
    soft = logits.sigmoid()
    on = soft > MASK_THRESHOLD
    zero = soft - soft.detach()  # its value is 0, its gradient that of the mask
    slope = (1 / (1 - gaussians.opacities.detach())).clamp_max(1e3)  # of logit(o M) by M at M = 1
    return Gaussians(
        **{
            **gaussians.tensors(),
            "log_scales": gaussians.log_scales + zero[:, None],
            "logit_opacities": torch.where(on, gaussians.logit_opacities + slope * zero, HIDDEN_LOGIT),
        }
    )


def is_off(logits: Tensor) -> Tensor:  # [N] bool
    """Which Gaussians have switched themselves off."""
    return logits.sigmoid() <= MASK_THRESHOLD
