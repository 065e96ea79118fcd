"""The detector network: a plain residual backbone, a feature pyramid and one head for all levels.

Every level gives six maps: centre heat, overlap (how well the box will fit) and the logarithms of
the distances from the cell's centre to the left, top, right and bottom edge, in strides.
"""

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional as F

STRIDES = (8, 16, 32)
CHANNELS = 6
LEVEL_WIDTHS_PX = ((0.0, 72.0), (40.0, 168.0), (110.0, 1e9))
"""Plate widths each level learns; they overlap so that a plate near a border has two chances."""


class Unit(nn.Sequential):
    """Convolution, batch normalisation and ReLU, in that order."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )


class Residual(nn.Module):
    """Two 3 x 3 convolutions added to their input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = Unit(channels, channels)
        self.second = nn.Sequential(
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels)
        )

    def forward(self, features: Tensor) -> Tensor:
        return F.relu(features + self.second(self.first(features)))


class PlateNet(nn.Module):
    """Pixels in, one tensor of six maps per stride out."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(Unit(3, 16, stride=2), Unit(16, 24, stride=2), Unit(24, 24))
        self.stage8 = nn.Sequential(Unit(24, 48, stride=2), Residual(48), Residual(48))
        self.stage16 = nn.Sequential(Unit(48, 72, stride=2), Residual(72), Residual(72))
        self.stage32 = nn.Sequential(Unit(72, 96, stride=2), Residual(96), Residual(96))
        self.lateral = nn.ModuleList([Unit(channels, 48, kernel=1) for channels in (48, 72, 96)])
        self.smooth = nn.ModuleList([Unit(48, 48) for _ in STRIDES])
        self.tower = Unit(48, 48)
        self.outputs = nn.ModuleList([nn.Conv2d(48, CHANNELS, 1) for _ in STRIDES])
        for output in self.outputs:
            assert isinstance(output, nn.Conv2d) and output.bias is not None
            nn.init.normal_(output.weight, std=0.01)
            # Heat starts at 1 %: nearly every cell is background. Boxes start wide, as plates are.
            output.bias.data = torch.tensor([-4.6, 0.0, 0.9, 0.0, 0.9, 0.0])

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """*pixels* is (batch, 3, H, W), RGB in 0..1, H and W multiples of 32."""
        at8 = self.stage8(self.stem(pixels * 4.0 - 2.0))
        at16 = self.stage16(at8)
        at32 = self.stage32(at16)
        top = self.lateral[2](at32)
        middle = self.lateral[1](at16) + F.interpolate(top, scale_factor=2.0, mode="nearest")
        bottom = self.lateral[0](at8) + F.interpolate(middle, scale_factor=2.0, mode="nearest")
        heads = [
            self.outputs[level](self.tower(self.smooth[level](features)))
            for level, features in enumerate((bottom, middle, top))
        ]
        return heads[0], heads[1], heads[2]


def decode(head: Tensor, stride: int) -> tuple[Tensor, Tensor]:
    """Return boxes (batch, cells, 4) as left, top, right, bottom in pixels, and scores (batch, cells).

    The score is the geometric mean of heat and overlap: a sure plate with a poor box ranks lower.
    """
    height, width = head.shape[-2:]
    y = (torch.arange(height, device=head.device, dtype=head.dtype) + 0.5) * stride
    x = (torch.arange(width, device=head.device, dtype=head.dtype) + 0.5) * stride
    reach = head[:, 2:6].clamp(-4.0, 4.0).exp() * stride
    left, top = x[None, None, :] - reach[:, 0], y[None, :, None] - reach[:, 1]
    right, bottom = x[None, None, :] + reach[:, 2], y[None, :, None] + reach[:, 3]
    boxes = torch.stack([left, top, right, bottom], dim=-1).flatten(1, 2)
    scores = (head[:, 0].sigmoid() * head[:, 1].sigmoid()).sqrt().flatten(1)
    return boxes, scores


def fused(net: PlateNet) -> PlateNet:
    """Return a copy for inference with every batch normalisation folded into its convolution."""
    import copy

    copied = copy.deepcopy(net).eval()
    for module in copied.modules():
        if isinstance(module, nn.Sequential):
            children = list(module.named_children())
            for (name, first), (after, second) in itertools.pairwise(children):
                if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                    setattr(module, name, torch.nn.utils.fuse_conv_bn_eval(first, second))
                    setattr(module, after, nn.Identity())
    return copied
