"""Crops altered anew each time they come back, as a batch and on the processor that trains.

A renderer's crops are alike in ways that no photograph is, and real plates are few: what is altered here is
what neither may be learnt by. Geometry moves the characters' centres with it.
"""

import torch
from torch import Tensor
from torch.nn import functional

HEIGHT, WIDTH = 64, 128
_BEND_ROWS, _BEND_COLUMNS = 3, 6
"""Nodes of the field by which a crop is bent."""
_LUMA = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)


class Variation:
    """Draws from one generator; equal seeds give equal batches."""

    def __init__(self, seed: int, strength: float) -> None:
        """*strength* 0 alters nothing; 1 is as far as a person still reads what they read before."""
        self._random = torch.Generator().manual_seed(seed)
        self._strength = strength

    def __call__(self, crops: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
        """Return altered *crops* and the *centres* of their characters.

        Crops have the shape (n, 64, 128, 3), RGB, uint8; centres (n, slots, 2), shares of the crop, NaN where
        unknown.
        """
        if self._strength == 0:
            return crops, centres
        pictures = crops.permute(0, 3, 1, 2).float()
        pictures, centres = self._bent(pictures, centres)
        pictures = self._relit(self._focused(pictures))
        pictures = self._noisy(self._covered(pictures))
        return pictures.clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous(), centres

    def _uniform(self, low: float, high: float, *shape: int) -> Tensor:
        return torch.rand(shape, generator=self._random) * (high - low) + low

    def _normal(self, scale: float, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self._random) * (scale * self._strength)

    def _some(self, share: float, n: int) -> Tensor:
        """Which of *n* crops, about *share* of them: their places."""
        return (torch.rand(n, generator=self._random) < share * self._strength).nonzero()[:, 0]

    def _bent(self, pictures: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
        """Scale, turn, shear, shift and bend a little; in units of half a crop, as grid_sample counts."""
        n = len(pictures)
        matrix = torch.zeros(n, 2, 3)
        matrix[:, 0, 0] = 1 + self._normal(0.05, n)
        matrix[:, 1, 1] = 1 + self._normal(0.07, n)
        matrix[:, 0, 1] = self._normal(0.05, n)
        matrix[:, 1, 0] = self._normal(0.05, n)
        matrix[:, :, 2] = self._normal(0.03, n, 2)
        nodes = self._normal(0.016, n, 2, _BEND_ROWS, _BEND_COLUMNS)
        bend = functional.interpolate(nodes, (HEIGHT, WIDTH), mode="bilinear", align_corners=True)
        identity = torch.eye(2, 3).expand(n, 2, 3)
        straight = functional.affine_grid(identity[:1], [1, 3, HEIGHT, WIDTH], align_corners=False)
        moved = functional.affine_grid(matrix, [n, 3, HEIGHT, WIDTH], align_corners=False)
        grid = moved + bend.permute(0, 2, 3, 1)
        bent = functional.grid_sample(pictures, grid, padding_mode="border", align_corners=False)
        # The grid says for each place whence it is taken; a centre goes the other way, which to first order
        # is the same step back, taken twice so that it starts from about where it ends.
        offset = (grid - straight).permute(0, 3, 1, 2)
        wanted = centres * 2 - 1
        place = wanted
        for _ in range(2):
            where = torch.nan_to_num(place)[:, :, None, :]
            step = functional.grid_sample(offset, where, padding_mode="border", align_corners=False)
            place = wanted - step[..., 0].transpose(1, 2)
        return bent, (place + 1) / 2

    def _focused(self, pictures: Tensor) -> Tensor:
        """Soften or sharpen; strokes thinner or bolder; fewer pixels."""
        n = len(pictures)
        some = self._some(0.5, n)
        chosen = pictures[some]
        soft = functional.avg_pool2d(chosen, 3, 1, 1, count_include_pad=False)
        pictures[some] = torch.lerp(chosen, soft, self._uniform(-1.3, 1.0, len(some), 1, 1, 1))
        for sign in (1, -1):
            some = self._some(0.08, n)
            chosen = pictures[some]
            grown = sign * functional.max_pool2d(sign * chosen, 3, 1, 1)
            pictures[some] = torch.lerp(chosen, grown, self._uniform(0.3, 0.8, len(some), 1, 1, 1))
        some = self._some(0.25, n)
        size = (int(self._uniform(22, 48, 1)), int(self._uniform(44, 96, 1)))
        small = functional.interpolate(pictures[some], size, mode="bilinear", align_corners=False)
        pictures[some] = functional.interpolate(small, (HEIGHT, WIDTH), mode="bilinear", align_corners=False)
        return pictures

    def _relit(self, pictures: Tensor) -> Tensor:
        """Gamma, contrast, colour, shade; some grey, as infrared is, and a few reversed."""
        n = len(pictures)
        some = self._some(0.2, n)
        pictures[some] = (pictures[some] * _LUMA).sum(1, keepdim=True).expand(-1, 3, -1, -1)
        some = self._some(0.05, n)
        pictures[some] = 255 - pictures[some]
        some = self._some(0.6, n)
        gamma = torch.exp(self._normal(0.4, len(some), 1, 1, 1))
        pictures[some] = (pictures[some].clamp(0, 255) / 255) ** gamma * 255
        middle = pictures.mean((1, 2, 3), keepdim=True)
        contrast = torch.exp(self._normal(0.25, n, 1, 1, 1))
        shade = torch.exp(self._normal(0.12, n, 1, 2, 4) + self._normal(0.07, n, 3, 1, 1)) * contrast
        shade = functional.interpolate(shade, (HEIGHT, WIDTH), mode="bilinear", align_corners=False)
        return (pictures - middle).mul_(shade).add_(middle + self._normal(20, n, 1, 1, 1))

    def _covered(self, pictures: Tensor) -> Tensor:
        """A small patch of one colour on some: dirt, a bolt, a reflection."""
        for i in self._some(0.25, len(pictures)).tolist():
            top, left, high, wide = (int(self._uniform(0, size, 1)) for size in (HEIGHT, WIDTH, 14, 9))
            patch = pictures[i, :, top : top + high + 2, left : left + wide + 2]
            patch.lerp_(self._uniform(0, 255, 3, 1, 1).expand_as(patch), float(self._uniform(0.5, 1.0, 1)))
        return pictures

    def _noisy(self, pictures: Tensor) -> Tensor:
        some = self._some(0.5, len(pictures))
        grain = torch.randn(len(some), 1, HEIGHT, WIDTH, generator=self._random)
        pictures[some] += grain * self._uniform(0, 14, len(some), 1, 1, 1)
        return pictures
