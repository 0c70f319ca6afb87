"""Which primitives of Gaussians a glTF scene holds, and where its nodes put them."""

import math
import warnings
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from splat.compression.coding.byte_reader import REMEDY
from splat.compression.formats.gltf import EXTENSION
from splat.compression.formats.gltf.document import Document, Node, item, items
from splat.errors import InputError
from splat.gaussians import Gaussians
from splat.geometry.quaternions import from_rotation_matrix, rotation_matrix
from splat.geometry.similarity import MAX_SCALE, Similarity, harmonics_rotation

EVEN = 1e-5
"""Relative difference of the scales of three axes up to which a node scales evenly."""
FLATTEST = 1e-9
"""Ratio of the scales of two axes below which a node presses a scene flat."""

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Placed:
    """A primitive with Gaussians, and the matrix [4, 4] that takes its axes to those of the scene."""

    primitive: Node
    matrix: Matrix


def placed_primitives(document: Document) -> list[Placed]:
    """Every primitive with Gaussians, once for each node of the scene that holds it. What is left out is said.

    Raises:
        InputError: there is none, or the nodes are no trees.
    """
    path, meshes = document.path, items(document.json.get("meshes"))
    nodes = items(document.json.get("nodes"))
    found: list[Placed] = []
    others, instanced, used = 0, 0, set()
    for mesh, matrix, node in _held(document, nodes, len(meshes)):
        used.add(mesh)
        instanced += "EXT_mesh_gpu_instancing" in item(node, "extensions")
        for primitive in items(meshes[mesh].get("primitives")):
            if has_gaussians(primitive):
                found.append(Placed(primitive, matrix))
            else:
                others += 1
    unused = sum(
        has_gaussians(primitive)
        for index, mesh in enumerate(meshes)
        if index not in used
        for primitive in items(mesh.get("primitives"))
    )
    if not found:
        where = f": {unused} primitives with them are in no node of its scene" if unused else ""
        raise InputError(
            f"{path}: no mesh in it has {EXTENSION}{where or ': this is a model of triangles or points, not Gaussians'}"
        )
    left_out = [
        (others, "primitives of triangles or points"),
        (unused, "primitives of Gaussians in no node of the scene"),
    ]
    left_out += [(instanced, "nodes' further instances (EXT_mesh_gpu_instancing)")]
    said = ", ".join(f"{count} {what}" for count, what in left_out if count)
    if said:
        warnings.warn(f"{path}: left out: {said}", stacklevel=4)
    return found


def has_gaussians(primitive: Node) -> bool:
    """Whether a primitive is one of Gaussians; in the drafts, one of SPZ alone."""
    return any(
        name == EXTENSION or "spz" in name for name, value in item(primitive, "extensions").items() if value is not None
    )


def _held(document: Document, nodes: list[Node], meshes: int) -> list[tuple[int, Matrix, Node]]:
    """Every mesh that the scene holds, with its place and its node. Without nodes, every mesh as it is."""
    path, identity = document.path, np.eye(4)
    if not nodes:
        return [(mesh, identity, {}) for mesh in range(meshes)]
    held, seen = [], set()
    waiting = [(index, identity) for index in _roots(document, nodes)]
    while waiting:
        index, above = waiting.pop()
        if type(index) is not int or not 0 <= index < len(nodes):
            raise InputError(f"{path}: names the node {str(index)[:20]} of {len(nodes)}. {REMEDY}")
        if index in seen:
            raise InputError(f"{path}: the node {index} is reached twice: its nodes are no trees. {REMEDY}")
        seen.add(index)
        node = nodes[index]
        with np.errstate(over="ignore", invalid="ignore"):
            matrix = above @ local_matrix(document, node, index)
        if not np.isfinite(matrix).all():
            raise InputError(
                f"{path}: the node {index}, with those above it, has a transform that is not finite: mend their scales"
            )
        mesh = node.get("mesh")
        if mesh is not None:
            if type(mesh) is not int or not 0 <= mesh < meshes:
                raise InputError(f"{path}: names the mesh {str(mesh)[:20]} of {meshes}. {REMEDY}")
            held.append((mesh, matrix, node))
        children = node.get("children")
        waiting += [(child, matrix) for child in (children if isinstance(children, list) else [])[::-1]]
    return held


def _roots(document: Document, nodes: list[Node]) -> list[int]:
    """Nodes that the scene begins with, in reverse."""
    scenes = items(document.json.get("scenes"))
    if scenes:
        index = document.json.get("scene", 0)
        if type(index) is not int or not 0 <= index < len(scenes):
            raise InputError(f"{document.path}: names the scene {str(index)[:20]} of {len(scenes)}. {REMEDY}")
        roots = scenes[index].get("nodes")
        return roots[::-1] if isinstance(roots, list) else []
    lists = [node["children"] for node in nodes if isinstance(node.get("children"), list)]
    below = {child for children in lists for child in children if type(child) is int}
    return [index for index in range(len(nodes)) if index not in below][::-1]


def local_matrix(document: Document, node: Node, index: int) -> Matrix:  # [4, 4]
    """What a node does to what is in it: its matrix, or translation @ rotation @ scale.

    Raises:
        InputError: it is not as it should be.
    """

    def numbers(key: str, default: list[float]) -> list[float]:
        values = node.get(key, default)
        fine = isinstance(values, list) and len(values) == len(default)
        fine = fine and all(type(value) in (int, float) and abs(value) < 1e30 for value in values)
        if not fine:
            raise InputError(f"{document.path}: node {index}: expected {len(default)} numbers as its {key}. {REMEDY}")
        return values

    if "matrix" in node:
        matrix: Matrix = np.array(numbers("matrix", [0.0] * 16), dtype=np.float64).reshape(4, 4).T
        if not np.allclose(matrix[3], [0, 0, 0, 1], atol=1e-6):
            raise InputError(f"{document.path}: node {index}: the last row of its matrix is not 0 0 0 1. {REMEDY}")
        return matrix
    x, y, z, w = numbers("rotation", [0.0, 0.0, 0.0, 1.0])
    if not math.hypot(x, y, z, w):
        raise InputError(f"{document.path}: node {index}: its rotation is zero. {REMEDY}")
    matrix = np.eye(4)
    matrix[:3, :3] = rotation_matrix(torch.tensor([w, x, y, z], dtype=torch.float64)).numpy()
    matrix[:3, :3] *= np.array(numbers("scale", [1.0, 1.0, 1.0]))
    matrix[:3, 3] = numbers("translation", [0.0, 0.0, 0.0])
    return matrix


class Transform:
    """A matrix [4, 4] on Gaussians: their covariances become M S M^T, and their harmonics turn with the rotation in M.

    Raises:
        InputError: it presses them flat.
    """

    def __init__(self, document: Document, matrix: Matrix) -> None:
        self.linear, self.translation = torch.from_numpy(matrix[:3, :3].copy()), torch.from_numpy(matrix[:3, 3].copy())
        u, sizes, v = torch.linalg.svd(self.linear)
        self.rotation = u @ v  # the nearest one; a mirror where the matrix mirrors
        least, most = float(sizes[-1]), float(sizes[0])
        if not least > FLATTEST * most or not math.isfinite(most):
            raise InputError(
                f"{document.path}: a node presses its Gaussians flat (scales {least:.3g} to {most:.3g}): mend its scale"
            )
        even = most - least <= EVEN * most and bool(torch.linalg.det(u @ v) > 0) and 1 / MAX_SCALE < most < MAX_SCALE
        self.similarity = Similarity(self.rotation, self.translation, (least * most) ** 0.5) if even else None
        if self.similarity is None:
            warnings.warn(
                f"{document.path}: a node stretches or mirrors its Gaussians: their shapes follow, their view-dependent color "
                "is only turned",
                stacklevel=4,
            )

    def __call__(self, gaussians: Gaussians) -> Gaussians:
        """The Gaussians, where the matrix puts them."""
        if self.similarity is not None:
            return self.similarity.gaussians(gaussians)
        axes = self.linear @ rotation_matrix(gaussians.quats.double()) * gaussians.log_scales.double().exp()[:, None, :]
        finite = axes.isfinite().all(dim=2).all(dim=1)
        u, sizes, _ = torch.linalg.svd(torch.where(finite[:, None, None], axes, torch.eye(3, dtype=torch.float64)))
        u = torch.cat([u[:, :, :2], u[:, :, 2:] * torch.linalg.det(u)[:, None, None].sign()], dim=2)
        quats, log_scales = from_rotation_matrix(u), sizes.clamp_min(1e-30).log()
        broken = ~finite[:, None]
        rest = gaussians.sh_rest
        if rest.shape[1]:
            turn = harmonics_rotation(gaussians.sh_degree, self.rotation)[1:, 1:].to(rest)
            rest = turn @ rest
        return Gaussians(
            means=(gaussians.means.double() @ self.linear.T + self.translation).to(gaussians.means),
            quats=torch.where(broken, gaussians.quats, quats.to(gaussians.quats)),
            log_scales=torch.where(broken, torch.nan, log_scales.to(gaussians.log_scales)),
            logit_opacities=gaussians.logit_opacities,
            sh0=gaussians.sh0,
            sh_rest=rest,
        )
