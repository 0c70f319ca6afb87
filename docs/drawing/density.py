"""Densification: how many Gaussians a run has, and what one round does."""

from dataclasses import dataclass

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from drawing import style, training_runs
from drawing.footprints import covariances, seen
from drawing.style import BLUE, FAINT, GREEN, INK, ORANGE, PURPLE, RED
from drawing.training_runs import BUDGET, ITERATIONS, Round
from splat.cameras import Camera
from splat.contribution import contribution
from splat.gaussians import Gaussians
from splat.render import render


@dataclass(frozen=True)
class Fates:
    """What a round of the classic strategy does, as rows of the Gaussians before it."""

    pruned: Tensor  # [N] bool
    split: Tensor  # [N] bool
    cloned: Tensor  # [N] bool


def fates(taken: Round, prune_opacity: float) -> Fates:
    """Read a round's edit: it appends clones first, which lie where their parents do, then two children of each split."""
    edit, before = taken.edit, taken.before
    assert edit.remove is not None and edit.append is not None
    pruned = edit.remove & (before.opacities < prune_opacity)
    split = edit.remove & ~pruned
    clones = edit.append[: len(edit.append) - 2 * int(split.sum())]
    places = {tuple(place) for place in clones.means.tolist()}
    cloned = torch.tensor([tuple(place) in places for place in before.means.tolist()]) & ~edit.remove
    return Fates(pruned, split, cloned)


def after(taken: Round) -> tuple[Gaussians, int]:
    """The Gaussians after a round, and how many of them were there before; the others follow."""
    assert taken.edit.remove is not None and taken.edit.append is not None
    kept = taken.before[~taken.edit.remove]
    return Gaussians.cat([kept, taken.edit.append]), len(kept)


def prominent(scene: Gaussians, camera: Camera) -> Tensor:  # [N] bool
    """Which Gaussians draw a large part of a pixel of a view."""
    return contribution(scene, camera).peak > PEAK


def outlines(axes: Axes, scene: Gaussians, camera: Camera, groups: list[tuple[Tensor, str, float]]) -> None:
    """Ellipses at one standard deviation, in the color of their group."""
    projection = seen(scene, camera)
    covs = covariances(projection)
    for rows, color, width in groups:
        for index in (rows & projection.drawn).nonzero()[:, 0].tolist():
            shape = projection.mean2d[index], covs[index], 1
            if color != FAINT:
                axes.add_patch(style.ellipse(*shape, fill=True, fc=color, alpha=0.18, lw=0))
            axes.add_patch(style.ellipse(*shape, ec=color, lw=width))


PEAK = 0.25
"""Only Gaussians that draw so much of a pixel are outlined."""

LOOK = (50, 47, 80, 67)
"""Left, top, right and bottom in pixels of the part of the view that is shown."""


def draw_round() -> Figure:
    """One round of the classic strategy: the fates of the Gaussians before it, and what there is after it."""
    taken = training_runs.trained("classic").round
    assert taken is not None
    camera = training_runs.view()
    kinds = fates(taken, prune_opacity=0.005)
    now, kept = after(taken)
    drawn, axes = style.figure(3, 11, 3.5)
    style.show(axes[0], render(taken.before, camera).rgb)
    axes[0].set_title(f"Render at iteration {taken.iteration}")
    shown = prominent(taken.before, camera)
    rest = ~(kinds.pruned | kinds.split | kinds.cloned)
    count = {name: int(getattr(kinds, name).sum()) for name in ("split", "cloned", "pruned")}
    looks = ((rest, FAINT, 0.7), (kinds.cloned, BLUE, 0.9), (kinds.split, ORANGE, 1.1), (kinds.pruned, RED, 1.1))
    outlines(axes[1], taken.before, camera, [(rows & shown, *look) for rows, *look in looks])
    axes[1].set_title(f"Before: {len(taken.before):,} Gaussians")
    for name, color in (("split", ORANGE), ("cloned", BLUE), ("pruned", RED)):
        axes[1].plot([], [], color=color, label=f"{name}: {count[name]:,}")
    axes[1].plot([], [], color=FAINT, lw=0.8, label="kept")
    clones = len(now) - kept - 2 * count["split"]
    # Those that were outlined before, their clones and their children, in the order in which an edit leaves them.
    heirs = [shown[~(kinds.pruned | kinds.split)], shown[kinds.cloned], shown[kinds.split], shown[kinds.split]]
    still, place = torch.cat(heirs), torch.arange(len(now))
    looks = (
        (place < kept, FAINT, 0.7),
        ((place >= kept) & (place < kept + clones), BLUE, 0.9),
        (place >= kept + clones, ORANGE, 1.1),
    )
    outlines(axes[2], now, camera, [(rows & still, *look) for rows, *look in looks])
    axes[2].set_title(f"After: {len(now):,} Gaussians")
    axes[2].plot([], [], color=ORANGE, label=f"children of splits: {2 * count['split']:,}")
    axes[2].plot([], [], color=BLUE, label=f"clones: {clones:,}")
    left, top, right, bottom = LOOK
    for each in axes:
        each.set(xlim=(left, right), ylim=(bottom, top), aspect="equal")
        style.bare(each)
    for each in axes[1:]:
        each.legend(loc="upper center", bbox_to_anchor=(0.5, 0), ncols=4, handlelength=1.2, columnspacing=1)
    return drawn


def draw_counts() -> Figure:
    """Number of Gaussians over a short run of every strategy."""
    drawn, (axes,) = style.figure(1, 7.5, 3.3)
    colors = {"budget": BLUE, "classic": ORANGE, "absgrad": PURPLE, "mcmc": GREEN}
    iterations = list(range(1, ITERATIONS + 1))
    for name in training_runs.SHOWN:
        counts = training_runs.trained(name).counts
        axes.plot(iterations, counts, color=colors[name], lw=1.7, drawstyle="steps-post")
        below = -11 if name == "budget" else 0  # mcmc ends with as many
        place = {"textcoords": "offset points", "va": "center", "color": colors[name]}
        axes.annotate(name, (ITERATIONS, counts[-1]), (5, below), **place)
    start = len(training_runs.capture().points)
    axes.axhline(start, color=INK, lw=1.2)
    axes.annotate("fixed", (ITERATIONS, start), (5, 0), textcoords="offset points", va="center", color=INK)
    axes.axhline(BUDGET, color=FAINT, lw=0.8, ls="--", zorder=0)
    axes.text(0, BUDGET * 1.02, f"--budget {BUDGET:,} (budget and mcmc)", color=FAINT, fontsize=8)
    axes.set(xlabel="iteration", ylabel="Gaussians", xlim=(0, ITERATIONS * 1.1), ylim=0)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    return drawn
