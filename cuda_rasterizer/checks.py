"""Errors about tensors, one function per kind. Each message names the argument, what was expected and what came."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor


def check_shape(name: str, tensor: Tensor, expected: Sequence[int], meaning: str = "") -> None:
    if tensor.shape != tuple(expected):
        detail = f" ({meaning})" if meaning else ""
        raise ValueError(f"{name} must have shape {list(expected)}{detail}, got {list(tensor.shape)}")


def check_floats(tensors: Mapping[str, Tensor | None]) -> torch.dtype:
    """All are float32, or all float64; returns which."""
    present = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    first_name, first = next(iter(present.items()))
    if first.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"{first_name} must be float32 or float64, got {first.dtype}; convert it with .float()")
    for name, tensor in present.items():
        if tensor.dtype != first.dtype:
            raise ValueError(f"{name} must have the dtype of {first_name}, {first.dtype}, got {tensor.dtype}")
    return first.dtype


def check_device(tensors: Mapping[str, Tensor | None]) -> torch.device:
    """All are on one device; returns it."""
    present = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    first_name, first = next(iter(present.items()))
    for name, tensor in present.items():
        if tensor.device != first.device:
            raise ValueError(
                f"{name} must be on the device of {first_name}, {first.device}, got {tensor.device}; "
                f"move it with .to('{first.device}')"
            )
    return first.device


def check_range(name: str, value: int, low: int, high: int, remedy: str = "") -> None:
    if not low <= value <= high:
        raise ValueError(f"{name} must be from {low} to {high}, got {value}" + (f"; {remedy}" if remedy else ""))
