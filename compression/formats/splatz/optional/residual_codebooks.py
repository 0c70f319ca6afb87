"""Residual codebooks: a vector as the sum of one entry from each of several small codebooks, every one made for what those
before it leave over (residual vector quantization: Chen, Guan and Wang 2010; for the shapes of Gaussians with six codebooks
of 64 entries: Lee et al. 2023, Compact-3DGS).
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from splat.compression.coding.byte_reader import REMEDY, ByteReader
from splat.compression.coding.entropy import Contexts, Shifts, Whole, pack, unpack
from splat.compression.coding.kmeans import BLOCK, kmeans, means_of
from splat.errors import InputError

MOST_STAGES, MOST_CODES = 8, 256
FITTED = 1 << 18
"""Vectors that codebooks are made from, at most."""
ROUNDS = 8
"""Of Lloyd's algorithm with prices, and errors of each axis weighed apart, after k-means."""
FREE = 2
"""Of these rounds, those before labels have a price."""
NOTHING, CLASS, BEFORE = range(3)
"""What a label's frequencies may depend on: nothing, the importance class, the label of the stage before."""


@dataclass(frozen=True)
class ResidualCodebooks:
    """Some codebooks of vectors [3], the coarsest first. In all but that the first entry is zero: enough is said already."""

    entries: Tensor  # [S, K, 3] float32, of half precision
    rates: Tensor  # [S, K] bits that each label takes, about; what a file is read from does not know them

    def to(self, device: torch.device | str) -> "ResidualCodebooks":
        """The same on another device."""
        return ResidualCodebooks(self.entries.to(device), self.rates.to(device))

    def vectors(self, labels: Tensor) -> Tensor:  # [N, 3]
        """Sums of the entries that labels [N, S] name."""
        total = self.entries[0][labels[:, 0]]
        for stage in range(1, len(self.entries)):
            total = total + self.entries[stage][labels[:, stage]]
        return total

    @torch.no_grad()
    def labels(self, vectors: Tensor, weights: Tensor, prices: Tensor) -> Tensor:  # [N, S] int64
        """Stage by stage the entries that are best for what is left of vectors [N, 3].

        Args:
            weights: [N, 3] how much squared errors count.
            prices: [N] how much a bit counts.
        """
        found, left = [], vectors
        for entries, rates in zip(self.entries, self.rates, strict=True):
            found.append(_best(left, entries, rates, weights, prices))
            left = left - entries[found[-1]]
        return torch.stack(found, dim=1)


@torch.no_grad()
def fit(vectors: Tensor, weights: Tensor, prices: Tensor, stages: int, codes: int, seed: int = 0) -> ResidualCodebooks:
    """S codebooks of K entries for vectors [N, 3], with weights and prices as for their labels: the sum of errors against
    prices, plus bits, is made small (entropy-constrained vector quantization: Chou, Lookabaugh and Gray 1989)."""
    if len(vectors) > FITTED:
        chosen = torch.randperm(len(vectors), generator=torch.Generator().manual_seed(seed))[:FITTED].to(vectors.device)
        vectors, weights, prices = vectors[chosen], weights[chosen], prices[chosen]
    counts = weights / prices[:, None]
    counts = counts / counts.mean().clamp_min(1e-30)
    books, bits = [], []
    for stage in range(stages):
        entries, rates = vectors.new_zeros(codes, 3), vectors.new_zeros(codes)
        start = kmeans(vectors, codes, counts.mean(dim=1), seed)[0]
        entries[: len(start)] = start
        for turn in range(ROUNDS):
            if stage:
                entries[0] = 0.0
            labels = _best(vectors, entries, rates, weights, prices * (turn >= FREE))
            entries = means_of(vectors, labels, counts, entries)
            used = torch.bincount(labels, minlength=codes).to(rates) + 0.5
            rates = (used.sum() / used).log2()
        if stage:
            entries[0] = 0.0
        books.append(entries.clamp(-6e4, 6e4).half().float())
        bits.append(rates)
        vectors = vectors - books[-1][_best(vectors, books[-1], rates, weights, prices)]
    return ResidualCodebooks(torch.stack(books), torch.stack(bits))


def pack_codebooks(books: ResidualCodebooks, labels: Whole, shifts: Shifts) -> bytes:
    """Entries and labels [N, S]; labels under whatever makes them smallest."""
    out = books.entries.half().cpu().numpy().astype("<f2").tobytes()
    for stage in range(labels.shape[1]):
        kinds = (NOTHING, CLASS, BEFORE) if stage else (NOTHING, CLASS)
        streams = (bytes([kind]) + pack(labels[:, stage], _context(kind, labels, shifts, stage)) for kind in kinds)
        out += min(streams, key=len)
    return out


def unpack_codebooks(reader: ByteReader, shifts: Shifts, stages: int, codes: int) -> tuple[ResidualCodebooks, Whole]:
    """Entries and labels [N, S] again.

    Raises:
        InputError: the stream is damaged.
    """
    entries = torch.from_numpy(reader.array("<f2", (stages, codes, 3), "codebooks").astype(np.float32))
    labels = np.zeros((len(shifts), stages), dtype=np.int32)
    for stage in range(stages):
        (kind,) = reader.unpack("<B", "the kind of a context")
        if kind > (BEFORE if stage else CLASS):
            raise InputError(f"{reader.name}: labels that depend on {kind} cannot be. {REMEDY}")
        found = unpack(reader, len(shifts), _context(kind, labels, shifts, stage))
        if len(found) and not 0 <= found.min() <= found.max() < codes:
            raise InputError(f"{reader.name}: a label beyond the {codes} entries of a codebook. {REMEDY}")
        labels[:, stage] = found
    return ResidualCodebooks(entries, torch.zeros(stages, codes)), labels


def _context(kind: int, labels: Whole, shifts: Shifts, stage: int) -> Contexts | None:
    if kind == NOTHING:
        return None
    return (shifts if kind == CLASS else labels[:, stage - 1]).astype(np.uint16)


def _best(vectors: Tensor, entries: Tensor, rates: Tensor, weights: Tensor, prices: Tensor) -> Tensor:  # [N] int64
    """Which entry has the least weighted squared error plus price of its bits; the vector's own square is left out."""
    known = torch.cat([entries.square().T, -2 * entries.T, rates[None]])  # [7, K]
    rows = max(1, BLOCK // len(entries))
    parts = zip(vectors.split(rows), weights.split(rows), prices.split(rows), strict=True)
    found = [(torch.cat([w, w * part, price[:, None]], dim=1) @ known).argmin(dim=1) for part, w, price in parts]
    return torch.cat(found)
