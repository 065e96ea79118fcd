"""What the network is punished for: missed centres, false centres, loose boxes, wrong self-judgement."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from training.detector.net import LEVEL_WIDTHS_PX, STRIDES
from training.detector.samples import PLATE


@dataclass(frozen=True, slots=True)
class LevelTarget:
    heat: Tensor
    """(batch, H, W), 1 at a plate's centre cell, falling off as a Gaussian."""
    weight: Tensor
    """(batch, H, W), 0 where nobody can say whether there is a plate."""
    where: Tensor
    """(n, 3), batch, row and column of the cells that answer for a box."""
    boxes: Tensor
    """(n, 4), the box each of those cells answers for, in pixels."""


def targets(boxes: Tensor, size_px: int) -> list[LevelTarget]:
    """Return one target per stride for *boxes*, (n, 6): batch, left, top, right, bottom, kind."""
    batch = int(boxes[:, 0].max().item()) + 1 if len(boxes) else 0
    return [_level(boxes, size_px // stride, stride, level, batch) for level, stride in enumerate(STRIDES)]


def _level(boxes: Tensor, cells: int, stride: int, level: int, batch: int) -> LevelTarget:
    heat = torch.zeros(batch, cells, cells)
    weight = torch.ones(batch, cells, cells)
    grid = (torch.arange(cells) + 0.5) * stride
    where: list[tuple[int, int, int]] = []
    answers: list[Tensor] = []
    low, high = LEVEL_WIDTHS_PX[level]
    for row in boxes:
        index = int(row[0])
        left, top, right, bottom, kind = (float(v) for v in row[1:])
        width, height = right - left, bottom - top
        if kind == PLATE and not low * 0.8 <= width < high * 1.25:
            # Another level answers. What this one sees, letters or a speck, is background to it.
            continue
        if kind != PLATE or not low <= width < high:
            # Nobody knows, or it is nearly this level's business: it is not asked here.
            inside_y = (grid > top - stride / 2) & (grid < bottom + stride / 2)
            inside_x = (grid > left - stride / 2) & (grid < right + stride / 2)
            weight[index, inside_y[:, None] & inside_x[None, :]] = 0.0
            continue
        x, y = (left + right) / 2, (top + bottom) / 2
        spread_x, spread_y = max(width * 0.12, stride * 0.45), max(height * 0.12, stride * 0.45)
        blob = torch.exp(
            -0.5 * (((grid[None, :] - x) / spread_x) ** 2 + ((grid[:, None] - y) / spread_y) ** 2)
        )
        column = min(cells - 1, max(0, int(x / stride)))
        line = min(cells - 1, max(0, int(y / stride)))
        heat[index] = torch.maximum(heat[index], blob * 0.98)
        heat[index, line, column] = 1.0
        # Neighbours answer too where the blob is warm: more gradient, and a box even off centre.
        warm = (blob > 0.45).nonzero().tolist()
        for cell in {(line, column), *((r, c) for r, c in warm)}:
            where.append((index, *cell))
            answers.append(row[1:5])
    # A plate's own centre stays asked even if an unsure box lies over it.
    weight[heat > 0.3] = 1.0
    return LevelTarget(
        heat,
        weight,
        torch.tensor(where, dtype=torch.long).reshape(-1, 3),
        torch.stack(answers) if answers else torch.zeros(0, 4),
    )


def loss(
    heads: tuple[Tensor, Tensor, Tensor], wanted: list[LevelTarget], background: float
) -> tuple[Tensor, dict[str, float]]:
    """Return the total to minimise and its parts, each per answering cell or plate centre.

    *background* weighs false heat against missed centres: samples are denser in plates than streets are.
    """
    heat_sum = torch.zeros(())
    centres = 0.0
    fitted: list[Tensor] = []
    truths: list[Tensor] = []
    judged: list[Tensor] = []
    for head, target, stride in zip(heads, wanted, STRIDES, strict=True):
        logit = head[:, 0]
        p = logit.sigmoid().clamp(1e-5, 1 - 1e-5)
        centre = target.heat == 1.0
        hit = -((1 - p) ** 2) * p.log()
        false = -((1 - target.heat) ** 4) * p**2 * (1 - p).log()
        heat_sum = heat_sum + (torch.where(centre, hit, false * background) * target.weight).sum()
        centres += float(centre.sum())
        index, row, column = target.where.unbind(1)
        cell = head[index, :, row, column]
        reach = cell[:, 2:6].clamp(-4.0, 4.0).exp() * stride
        x, y = (column + 0.5) * stride, (row + 0.5) * stride
        fitted.append(torch.stack([x - reach[:, 0], y - reach[:, 1], x + reach[:, 2], y + reach[:, 3]], 1))
        truths.append(target.boxes)
        judged.append(cell[:, 1])
    overlap, complete = overlaps(torch.cat(fitted), torch.cat(truths))
    count = max(1, len(overlap))
    heat = heat_sum / max(1.0, centres)
    box = (1 - complete).sum() / count
    judge = F.binary_cross_entropy_with_logits(torch.cat(judged), overlap.detach(), reduction="sum") / count
    parts = {"heat": heat.item(), "box": box.item(), "overlap": overlap.sum().item() / count}
    return heat + 2.5 * box + 0.6 * judge, parts


def overlaps(boxes: Tensor, truths: Tensor) -> tuple[Tensor, Tensor]:
    """Return intersection over union, and complete IoU (Zheng et al. 2020), pair by pair."""
    inner = torch.minimum(boxes[:, 2:], truths[:, 2:]) - torch.maximum(boxes[:, :2], truths[:, :2])
    inner_area = inner.clamp(min=0).prod(1)
    size, true_size = (boxes[:, 2:] - boxes[:, :2]).clamp(min=1e-3), truths[:, 2:] - truths[:, :2]
    iou = inner_area / (size.prod(1) + true_size.prod(1) - inner_area + 1e-6)
    hull = torch.maximum(boxes[:, 2:], truths[:, 2:]) - torch.minimum(boxes[:, :2], truths[:, :2])
    apart = ((boxes[:, :2] + boxes[:, 2:] - truths[:, :2] - truths[:, 2:]) ** 2).sum(1) / 4
    distance = apart / ((hull**2).sum(1) + 1e-6)
    angle = torch.atan(true_size[:, 0] / true_size[:, 1]) - torch.atan(size[:, 0] / size[:, 1])
    shape = 4 / math.pi**2 * angle**2
    with torch.no_grad():
        balance = shape / (1 - iou + shape + 1e-6)
    return iou.clamp(0, 1), iou - distance - balance * shape
