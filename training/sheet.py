"""A contact sheet of rendered plates, to look at before a training run.

python -m training.sheet --out ../sheet.png --seed 3 --jurisdiction US-CA US-TX BR
python -m training.sheet --out ../clean.png --clean
python -m training.sheet --out ../night.png --condition night
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from training import formats
from training.degrade import CONDITIONS, degrade
from training.plates import RenderedPlate, render_plate

Image = npt.NDArray[np.uint8]

_WIDTH_PX, _HEIGHT_PX, _CAPTION_PX, _EDGE_PX = 192, 96, 18, 3


def contact_sheet(
    seed: int,
    jurisdictions: tuple[str, ...] = (),
    rows: int = 12,
    columns: int = 8,
    clean: bool = False,
    condition: str | None = None,
) -> Image:
    """Return a grid of crops, BGR, each with its text, stacked letters and jurisdiction underneath.

    *jurisdictions* take equal shares in their order; none means all by their weight. *clean* shows the flat
    plate instead of the crop. Equal arguments give equal sheets where the same typefaces are installed.

    Raises ValueError if a jurisdiction is unknown.
    """
    rng = np.random.default_rng(seed)
    total = rows * columns
    cells = []
    for i in range(total):
        wanted = jurisdictions[i * len(jurisdictions) // total] if jurisdictions else None
        plate = render_plate(rng, wanted)
        seen = plate.image if clean else degrade(rng, plate, condition).image[..., ::-1]
        cells.append(_cell(np.ascontiguousarray(seen), plate))
    lines = [np.hstack(cells[i : i + columns]) for i in range(0, total, columns)]
    return np.asarray(np.vstack(lines), np.uint8)


def _cell(seen: Image, plate: RenderedPlate) -> Image:
    shape = (_HEIGHT_PX + _CAPTION_PX + _EDGE_PX, _WIDTH_PX + 2 * _EDGE_PX, 3)
    cell = np.full(shape, 255, np.uint8)
    shrinks = seen.shape[0] > _HEIGHT_PX
    resized = cv2.resize(
        seen, (_WIDTH_PX, _HEIGHT_PX), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    )
    cell[_EDGE_PX : _EDGE_PX + _HEIGHT_PX, _EDGE_PX : _EDGE_PX + _WIDTH_PX] = resized
    stacked = f" ({plate.prefix})" if plate.prefix else ""
    caption = f"{plate.text}{stacked} {plate.jurisdiction}"
    place = (_EDGE_PX, shape[0] - 6)
    cv2.putText(cell, caption, place, cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 0, 0), 1, cv2.LINE_AA)
    return cell


def main() -> None:
    """Write the sheet."""
    parser = argparse.ArgumentParser(description="write a contact sheet of rendered plates")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jurisdiction", nargs="*", default=[], choices=formats.JURISDICTIONS[:-1])
    parser.add_argument("--rows", type=int, default=12)
    parser.add_argument("--columns", type=int, default=8)
    parser.add_argument("--clean", action="store_true", help="flat plates, without weather and camera")
    parser.add_argument("--condition", choices=list(CONDITIONS), help="all crops under this one")
    arguments = parser.parse_args()
    sheet = contact_sheet(
        arguments.seed,
        tuple(arguments.jurisdiction),
        arguments.rows,
        arguments.columns,
        arguments.clean,
        arguments.condition,
    )
    # Encoded here, not by imwrite, which fails in silence where the folder is missing.
    arguments.out.write_bytes(cv2.imencode(".png", sheet)[1].tobytes())


if __name__ == "__main__":
    main()
