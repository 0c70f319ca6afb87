"""Photos in memory: as many decoded ones as a limit allows, the others decoded again, ahead of time, in threads."""

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, fields
from typing import Literal

import torch
from torch import Tensor

AHEAD_FRACTION = 0.25
"""Fraction of the limit that is kept for photos decoded ahead, once not all of them fit."""


@dataclass(frozen=True)
class Photo:
    """Everything that is known per pixel of one photo."""

    image: Tensor  # uint8 [H, W, 3] color; where `alpha` is given, not yet put on any background
    alpha: Tensor | None = None  # uint8 [H, W] coverage, of photos with transparency
    mask: Tensor | None = None  # bool [H, W] True where the photo shows the scene
    depth: Tensor | None = None  # float32 [H, W] as in the file, over the local unit; 0 where unknown

    @property
    def bytes(self) -> int:
        return sum(tensor.nbytes for tensor in self._tensors().values())

    @property
    def hidden(self) -> Literal["mask", "alpha"] | None:
        """What hides every pixel, if anything does."""
        if self.mask is not None and not self.mask.any():
            return "mask"
        return "alpha" if self.alpha is not None and not self.alpha.any() else None

    def to(self, device: torch.device | str) -> "Photo":
        return Photo(**{name: tensor.to(device, non_blocking=True) for name, tensor in self._tensors().items()})

    def _tensors(self) -> dict[str, Tensor]:
        named = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: tensor for name, tensor in named.items() if tensor is not None}

    def over(self, background: Tensor) -> Tensor:  # [H, W, 3] uint8, or float32 in 0..1
        """The colors on a background [3], as a render with the same background shows them."""
        if self.alpha is None:
            return self.image
        alpha = self.alpha[..., None].float() / 255
        return self.image.float() / 255 * alpha + background * (1 - alpha)


class PhotoCache:
    """Decoded photos by name, at most `limit` bytes of them.

    Photos are kept in the order they come until they fill the limit; training uses each once a round, in random order, so
    that keeping some for good is as good as any rule. The others pass through a small fraction of the limit, where `prepare`
    decodes them before they are needed. Safe to use from several threads.
    """

    def __init__(self, readers: Mapping[str, Callable[[], Photo]], limit: int | None = None) -> None:
        self.readers, self.limit = dict(readers), limit
        self.kept: dict[str, Photo] = {}
        self.passing: OrderedDict[str, Future[Photo]] = OrderedDict()
        self.bytes = 0
        self.largest = 0
        self.lock = threading.Lock()
        self.pool = ThreadPoolExecutor(min(4, os.cpu_count() or 1), thread_name_prefix="photo")

    @classmethod
    def holding(cls, photos: Mapping[str, Photo]) -> "PhotoCache":
        """A cache of photos that are in memory already."""

        def reader(photo: Photo) -> Callable[[], Photo]:
            return lambda: photo

        return cls({name: reader(photo) for name, photo in photos.items()})

    def photo(self, name: str) -> Photo:
        """The photo, decoded in this thread unless it is there already."""
        with self.lock:
            if name in self.kept:
                return self.kept[name]
            waiting = self.passing.pop(name, None)
        return self._keep(name, self.readers[name]() if waiting is None else waiting.result())

    def prepare(self, name: str) -> None:
        """Start decoding a photo that will be asked for soon. Does nothing where it is there, or where memory is short."""
        with self.lock:
            if name in self.kept or name in self.passing:
                return
            if self.limit is not None and (len(self.passing) + 2) * self.largest > AHEAD_FRACTION * self.limit:
                return
            self.passing[name] = self.pool.submit(self.readers[name])

    def _keep(self, name: str, photo: Photo) -> Photo:
        with self.lock:
            self.largest = max(self.largest, photo.bytes)
            room = self.limit is None or self.bytes + photo.bytes <= (1 - AHEAD_FRACTION) * self.limit
            if room and name not in self.kept:
                self.kept[name] = photo
                self.bytes += photo.bytes
        return photo


class DevicePhotos:
    """Photos on the device that trains: on a GPU, at most `limit` bytes of them stay there."""

    def __init__(self, device: torch.device, limit: int) -> None:
        self.device, self.limit = device, limit
        self.kept: dict[str, Photo] = {}
        self.bytes = 0

    def photo(self, cache: PhotoCache, name: str) -> Photo:
        """The photo of a cache, on the device."""
        if self.device.type == "cpu":
            return cache.photo(name)
        if name not in self.kept:
            photo = cache.photo(name).to(self.device)
            if self.bytes + photo.bytes > self.limit:
                return photo
            self.kept[name] = photo
            self.bytes += photo.bytes
        return self.kept[name]
