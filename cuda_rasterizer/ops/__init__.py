"""The kernels as torch operators: schema, implementation (one for CPU and CUDA) and fake implementation of each.

One module an operator, which importing it registers: nothing else is needed before `torch.ops.splat` has it.

    schema.py        what operators take and give, by name, and how they are registered
    memory.py        fresh tensors, and what is said when there is no room for them
    launch.py        the structs of arguments that the kernels take, and running a kernel
    guesses.py       how many intersections a render will need
    forward.py       rasterize_forward
    backward.py      rasterize_backward
    backward_adam.py rasterize_backward_adam: a step of Adam takes the place of the gradients
    contribution.py  contribution
    loss.py          l1_ssim
    adam.py          adam_step: of several parameters at once

Scratch memory and streams come from torch and live here; the kernels get addresses. The operators know nothing of
autograd: see autograd.py, which imports them. They import native.py and checks.py.
Shapes: N Gaussians, C cameras, H x W pixels, F feature channels, P intersections, T tiles per camera.
"""
