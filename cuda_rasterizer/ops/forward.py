"""rasterize_forward: project, bin and composite in one call."""

from contextlib import suppress
from typing import Any, NamedTuple

import torch
from torch import Tensor

from splat.cuda_rasterizer import native
from splat.cuda_rasterizer.ops import guesses, launch, memory
from splat.cuda_rasterizer.ops.schema import Inputs, Limits, Options, Outputs, register


class Drawn(NamedTuple):
    """A render's end, for a further stage to go on from."""

    arguments: Any  # as they were at the end
    outputs: Outputs
    kept: list[Tensor]  # what must outlive any stage that is given the arguments


def draw(inputs: Inputs, options: Options, limits: Limits) -> Drawn:
    """Run the stages of the forward.

    Raises:
        TooManyIntersectionsError: there are more intersections than limits.max_intersections.
    """
    module = native.load()
    arguments, kept = launch.render_arguments(inputs, options)
    with memory.explained(options, 0):
        outputs = _outputs(inputs, options, 0, arguments)
        project_scratch = memory.scratch(inputs.means, module.project_scratch_bytes(arguments))
    made = outputs._asdict() | {"project_scratch": project_scratch}
    kept += launch.addresses(
        arguments, {name: tensor for name, tensor in made.items() if tensor.numel() and name != "intersections"}
    )
    rows, kind, guess = inputs.means.shape[0] * inputs.viewmats.shape[0], None, None
    if native.is_cuda(inputs.means.device):
        arguments.intersection_capacity = limits.intersection_capacity
        if not limits.intersection_capacity and not options.deterministic:  # which would pay for what is not used
            kind = (inputs.means.device, *inputs.means.shape, len(inputs.viewmats), options.width, options.height)
            guess = guesses.room(kind, guesses.Counts(limits.max_intersections, rows))
    if guess is not None:
        arguments.intersection_capacity, arguments.visible_capacity = guess
    launch.run("project", arguments)
    finished = None
    if guess is not None:
        with suppress(torch.OutOfMemoryError):  # there may be room for what is needed, if not for what is guessed
            finished = _composite(inputs, options, limits, arguments, outputs, kept)
        launch.run("count", arguments)
        if arguments.intersection_count > guess.intersections or arguments.visible_count > guess.visible:
            finished = None
    if finished is None:
        finished = _composite(inputs, options, limits, arguments, outputs, kept)
    if kind is not None:
        guesses.learn(kind, guesses.Counts(arguments.intersection_count, arguments.visible_count))
    return Drawn(arguments, finished, kept)


def _composite(
    inputs: Inputs, options: Options, limits: Limits, arguments: Any, outputs: Outputs, kept: list[Tensor]
) -> Outputs:
    """The stages after projection, with room for as many intersections as the arguments say.

    Args:
        kept: what must outlive the stages is added.

    Raises:
        TooManyIntersectionsError: there are more than limits.max_intersections.
    """
    intersections = arguments.intersection_count
    if intersections > limits.max_intersections:
        raise memory.TooManyIntersectionsError(
            f"this render needs {intersections:,} intersections of tiles and Gaussians, more than max_intersections = "
            f"{limits.max_intersections:,}. Many Gaussians cover a large part of the image: remove those, render a "
            "smaller image, or raise RenderSettings.max_intersections"
        )
    with memory.explained(options, intersections):
        room = memory.empty(outputs.intersections, intersections, outputs.intersections.shape[1])
        scratch = memory.scratch(inputs.means, native.load().forward_scratch_bytes(arguments))
    kept += launch.addresses(arguments, {"intersections": room, "scratch": scratch})
    launch.run("bin", arguments)
    launch.run("rasterize_forward", arguments)
    return outputs._replace(intersections=room)


def _outputs(inputs: Inputs, options: Options, intersections: Any, arguments: Any) -> Outputs:
    """The forward's outputs, uninitialized.

    Args:
        intersections: how many there are, which fake tensors do not know.
        arguments: at least the device and the dtype, on which the sizes of records depend.
    """
    module, like = native.load(), inputs.means
    count, cameras = inputs.means.shape[0], inputs.viewmats.shape[0]
    height, width = options.height, options.width
    tiles = -(-height // module.TILE) * -(-width // module.TILE)
    depth_shape = (cameras, height, width) if options.with_depth else (0,)
    channels = 0 if inputs.features is None else inputs.features.shape[-1]
    # On a GPU the backward needs the offsets only to add up the gradients in one order.
    offsets = cameras * count + 1 if options.deterministic or not native.is_cuda(like.device) else 0
    return Outputs(
        rgb=memory.empty(like, cameras, height, width, 3),
        transmittance=memory.empty(like, cameras, height, width),
        depth=memory.empty(like, depth_shape),
        median_depth=memory.empty(like, depth_shape),
        image_features=memory.empty(like, cameras, height, width, channels),
        radii=memory.empty(like, cameras, count),
        projected=memory.empty(like, cameras, count, module.projected_bytes(arguments), dtype=torch.uint8),
        intersection_offsets=memory.empty(like, offsets, dtype=torch.int64),
        intersections=memory.empty(like, intersections, module.intersection_bytes(arguments), dtype=torch.uint8),
        tile_offsets=memory.empty(like, cameras * tiles + 1, dtype=torch.int64),
    )


def _rasterize_forward(inputs: Inputs, options: Options, limits: Limits) -> Outputs:
    return draw(inputs, options, limits).outputs


def _fake(inputs: Inputs, options: Options, limits: Limits) -> Outputs:
    arguments = native.load().RenderArguments()
    arguments.is_double = inputs.means.dtype == torch.float64
    if inputs.means.device.type == "cuda":
        arguments.device = inputs.means.device.index or 0
    return _outputs(inputs, options, torch.library.get_ctx().new_dynamic_size(), arguments)


rasterize_forward = register(
    "rasterize_forward", _rasterize_forward, _fake, takes=(Inputs, Options, Limits), gives=Outputs
)
