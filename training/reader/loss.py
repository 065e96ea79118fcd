"""What the reader is trained to lower."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from training.reader.net import COLUMNS, ROWS, Reading
from training.reader.samples import PAD, SLOTS, UNKNOWN


@dataclass(frozen=True, slots=True)
class Weights:
    """Shares of the parts in the sum."""

    attention: float = 0.3
    columns: float = 0.25
    length: float = 0.1
    region: float = 0.3
    prefix: float = 0.15
    pad: float = 0.4
    """Weight of an empty slot against a character's. With 0.4 the second run came to double some."""
    smoothing: float = 0.05
    teacher: float = 0.5
    """Share of the teacher's word where it reads the same text, and what a crop loses of its weight where it
    does not: such a view is too hard for it, and perhaps for anyone."""


@dataclass(frozen=True, slots=True)
class Targets:
    """What is true of a batch of n crops."""

    slots: Tensor
    """Shape (n, SLOTS); UNKNOWN throughout where the text is."""
    prefixes: Tensor
    """Shape (n, PREFIX_SLOTS), likewise."""
    regions: Tensor
    """Shape (n,); -1 where unknown."""
    centres: Tensor
    """Shape (n, SLOTS, 2), shares of the crop; NaN where unknown."""
    teacher: Tensor
    """Shape (n, SLOTS, len(ALPHABET)), probabilities; NaN where no teacher was asked."""


def attention_targets(centres: Tensor) -> Tensor:
    """Return a Gaussian around each known centre, shape (n, SLOTS, ROWS * COLUMNS); nought where unknown."""
    x, y = torch.nan_to_num(centres, nan=-9.0).unbind(-1)
    rows = (torch.arange(ROWS) + 0.5) / ROWS
    columns = (torch.arange(COLUMNS) + 0.5) / COLUMNS
    vertical = torch.exp(-(((rows - y[..., None]) * ROWS) ** 2) / (2 * 0.9**2))
    horizontal = torch.exp(-(((columns - x[..., None]) * COLUMNS) ** 2) / (2 * 0.8**2))
    target = (vertical[..., :, None] * horizontal[..., None, :]).flatten(2)
    return target / target.sum(-1, keepdim=True).clamp_min(1e-6)


def reader_loss(reading: Reading, targets: Targets, weights: Weights) -> tuple[Tensor, dict[str, float]]:
    """Return the loss and its parts."""
    read = targets.slots[:, 0] != UNKNOWN
    slots = targets.slots[read]
    n = len(slots)
    character = functional.cross_entropy(
        reading.slots[read].flatten(0, 1),
        slots.flatten(),
        label_smoothing=weights.smoothing,
        reduction="none",
    ).view(n, SLOTS)
    is_pad = slots == PAD
    slot_weight = torch.where(is_pad, weights.pad, 1.0)
    teacher = targets.teacher[read]
    taught = torch.isfinite(teacher[:, 0, 0])
    if taught.any():
        said = teacher[taught]
        agrees = (said.argmax(-1) == slots[taught]).all(1, keepdim=True)
        soft = -(said * torch.log_softmax(reading.slots[read][taught], -1)).sum(-1)
        own = character[taught]
        blended = torch.lerp(own, torch.where(agrees, soft, own), weights.teacher)
        character = character.index_put((taught.nonzero()[:, 0],), blended)
        slot_weight = slot_weight.index_put(
            (taught.nonzero()[:, 0],), slot_weight[taught] * torch.where(agrees, 1.0, 1 - weights.teacher)
        )
    parts = {"slots": (character * slot_weight).sum() / slot_weight.sum()}
    wanted = attention_targets(targets.centres)
    known = wanted.sum(-1) > 0.5
    if known.any():
        parts["attention"] = (
            -(wanted * torch.log_softmax(reading.attention, -1)).sum(-1)[known].mean() * weights.attention
        )
    lengths = (~is_pad).sum(1)
    steps = torch.log_softmax(reading.columns[read], -1).transpose(0, 1)
    parts["columns"] = weights.columns * functional.ctc_loss(
        steps, slots, torch.full((n,), COLUMNS), lengths, blank=PAD, zero_infinity=True
    )
    parts["length"] = weights.length * functional.cross_entropy(reading.lengths[read], lengths)
    parts["prefix"] = weights.prefix * functional.cross_entropy(
        reading.prefixes.flatten(0, 1), targets.prefixes.flatten(), ignore_index=UNKNOWN
    )
    if bool((targets.regions >= 0).any()):
        parts["region"] = weights.region * functional.cross_entropy(
            reading.regions, targets.regions, ignore_index=UNKNOWN, label_smoothing=weights.smoothing
        )
    total = torch.stack(list(parts.values())).sum()
    return total, {name: float(value.detach()) for name, value in parts.items()}
