"""Residual codebooks: a vector as the sum of one entry from each of several small codebooks, every one made for what those
before it leave over (residual vector quantisation: Chen, Guan and Wang 2010; for the shapes of Gaussians with six codebooks
of 64 entries: Lee et al. 2023, Compact-3DGS).
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from splat.compression.byte_reader import REMEDY, ByteReader
from splat.compression.entropy import Whole, pack, unpack
from splat.compression.kmeans import BLOCK, kmeans
from splat.errors import InputError

MOST_STAGES, MOST_CODES = 8, 256
FITTED = 1 << 18
"""Vectors that codebooks are made from, at most."""
ROUNDS = 4
"""Of Lloyd's algorithm with the errors of each axis weighed apart."""
NOTHING, CLASS, BEFORE = range(3)
"""What a label's frequencies may depend on: nothing, the importance class, the label of the stage before."""


@dataclass(frozen=True)
class ResidualCodebooks:
    """Some codebooks of vectors [3], the coarsest first."""

    entries: Tensor  # [S, K, 3] float32, of half precision

    def vectors(self, labels: Tensor) -> Tensor:  # [N, 3]
        """Sums of the entries that labels [N, S] name; -1 adds nothing."""
        total = self.entries.new_zeros(len(labels), 3)
        for stage, entries in enumerate(self.entries):
            total = total + torch.nn.functional.pad(entries, (0, 0, 0, 1))[labels[:, stage]]
        return total

    @torch.no_grad()
    def labels(self, vectors: Tensor, weights: Tensor, stages: Tensor) -> Tensor:  # [N, S] int64
        """Stage by stage the entries nearest to what is left of vectors [N, 3].

        Args:
            weights: [N, 3] how much squared errors count.
            stages: [N] how many entries are used for each; the others are -1.
        """
        found, left = torch.full((len(vectors), len(self.entries)), -1, device=vectors.device), vectors
        for stage, entries in enumerate(self.entries):
            held = stages > stage
            label = _nearest(left, entries, weights)
            found[:, stage] = torch.where(held, label, -1)
            left = left - entries[label] * held[:, None]
        return found


@torch.no_grad()
def fit(
    vectors: Tensor, weights: Tensor, counts: Tensor, stages: Tensor, number: int, codes: int, seed: int = 0
) -> ResidualCodebooks:
    """Codebooks for vectors [N, 3].

    Args:
        weights: [N, 3] how much squared errors of each axis count.
        counts: [N] how much each vector counts, on top of that, in where entries are put.
        stages: [N] how many entries each vector uses.
        number, codes: S and K.
    """
    if len(vectors) > FITTED:
        chosen = torch.randperm(len(vectors), generator=torch.Generator().manual_seed(seed))[:FITTED].to(vectors.device)
        vectors, weights, counts, stages = vectors[chosen], weights[chosen], counts[chosen], stages[chosen]
    weighed = weights * counts[:, None]
    weighed = weighed / weighed.mean().clamp_min(1e-30)
    books = []
    for stage in range(number):
        held = stages > stage
        vectors, weighed, stages = vectors[held], weighed[held], stages[held]
        entries = vectors.new_zeros(codes, 3)
        if len(vectors):
            start = kmeans(vectors, codes, weighed.mean(dim=1), seed)[0]
            for _ in range(ROUNDS):
                start = _means(vectors, weighed, _nearest(vectors, start, weighed), start)
            entries[: len(start)] = start
        books.append(entries.clamp(-6e4, 6e4).half().float())
        vectors = vectors - books[-1][_nearest(vectors, books[-1], weighed)]
    return ResidualCodebooks(torch.stack(books))


def stages_of(shifts: Tensor, number: int, codes: int) -> Tensor:  # [N] int64
    """How many stages Gaussians of importance classes `shifts` [N] use: a codebook of K entries in space makes errors
    K^(1/3) times as small, and a class allows them to be 2^shift times as large."""
    return (number - 3 * shifts // max(1, (codes - 1).bit_length())).clamp_min(1)


def pack_codebooks(books: ResidualCodebooks, labels: Whole, shifts: Whole) -> bytes:
    """Entries and labels [N, S]; labels under whatever makes them smallest."""
    out = books.entries.half().cpu().numpy().astype("<f2").tobytes()
    for stage in range(labels.shape[1]):
        held = np.flatnonzero(labels[:, stage] >= 0)
        options = [
            bytes([kind]) + pack(labels[held, stage], _context(kind, labels, shifts, stage, held))
            for kind in ((NOTHING, CLASS, BEFORE) if stage else (NOTHING, CLASS))
        ]
        out += min(options, key=len)
    return out


def unpack_codebooks(reader: ByteReader, shifts: Whole, number: int, codes: int) -> tuple[Tensor, Whole]:
    """Entries [S, K, 3] and labels [N, S] again.

    Raises:
        InputError: the stream is damaged.
    """
    entries = reader.array("<f2", (number, codes, 3), "codebooks").astype(np.float32)
    stages = stages_of(torch.from_numpy(shifts), number, codes).numpy()
    labels = np.full((len(shifts), number), -1, dtype=np.int64)
    for stage in range(number):
        held = np.flatnonzero(stages > stage)
        (kind,) = reader.unpack("<B", "the kind of a context")
        if kind > (BEFORE if stage else CLASS):
            raise InputError(f"{reader.name}: labels that depend on {kind} cannot be. {REMEDY}")
        found = unpack(reader, len(held), _context(kind, labels, shifts, stage, held))
        if len(found) and not 0 <= found.min() <= found.max() < codes:
            raise InputError(f"{reader.name}: a label beyond the {codes} entries of a codebook. {REMEDY}")
        labels[held, stage] = found
    return torch.from_numpy(entries), labels


def _context(kind: int, labels: Whole, shifts: Whole, stage: int, held: Whole) -> Whole | None:
    if kind == NOTHING:
        return None
    return shifts[held] if kind == CLASS else labels[held, stage - 1]


def _nearest(vectors: Tensor, entries: Tensor, weights: Tensor) -> Tensor:  # [N] int64
    """Which entry has the least weighted squared error; the vector's own square is left out."""
    known = torch.cat([entries.square().T, -2 * entries.T])  # [6, K]
    rows = max(1, BLOCK // len(entries))
    parts = zip(vectors.split(rows), weights.split(rows), strict=True)
    found = [(torch.cat([weight, weight * part], dim=1) @ known).argmin(dim=1) for part, weight in parts]
    return torch.cat(found) if found else vectors.new_zeros(0, dtype=torch.int64)


def _means(vectors: Tensor, weights: Tensor, labels: Tensor, entries: Tensor) -> Tensor:  # [K, 3]
    """Weighted means, axis by axis; an entry that nothing has stays as it is."""
    total = torch.zeros_like(entries).index_add_(0, labels, weights)
    sums = torch.zeros_like(entries).index_add_(0, labels, vectors * weights)
    return torch.where(total > 0, sums / total.clamp_min(1e-30), entries)
