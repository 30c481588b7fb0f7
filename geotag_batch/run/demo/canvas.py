"""The brushes with which the demo paints its photos: sky, clouds, ridges, trees, walls; Pillow and seeded chance.

Everything is painted at twice the final size and scaled down, which smooths the edges. Coordinates are shares of the
picture: x from 0 (left) to 1 (right), y from 0 (top) to 1 (bottom).
"""

import random
from collections.abc import Sequence
from itertools import pairwise

from PIL import Image, ImageDraw, ImageFilter, ImageOps

__all__ = ["BLUE", "GRASS", "GREY", "LEAF", "PALE", "STONE", "Canvas", "Colour", "mix"]

Colour = tuple[int, int, int]
Point = tuple[float, float]

BLUE: Colour = (92, 148, 208)
PALE: Colour = (206, 224, 238)
GREY: Colour = (150, 160, 170)
GRASS: Colour = (112, 150, 66)
LEAF: Colour = (66, 104, 46)
STONE: Colour = (158, 150, 138)

_WIDTH, _HEIGHT, _OVERSIZE = 320, 240, 2


def mix(one: Colour, other: Colour, share: float) -> Colour:
    """Return `one` with `share` (0 to 1) of `other` in it."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


class Canvas:
    """A picture being painted; what looks random comes from `chance` alone."""

    def __init__(self, chance: random.Random) -> None:
        """Begin with a blank picture."""
        self.chance = chance
        self._size = (_WIDTH * _OVERSIZE, _HEIGHT * _OVERSIZE)
        self._image = Image.new("RGB", self._size)
        self._draw = ImageDraw.Draw(self._image)

    def finish(self) -> Image.Image:
        """Return the picture, 320 x 240, with the grain and the soft light of a photo."""
        small = self._image.reduce(_OVERSIZE)
        if self.chance.random() < 0.5:
            small = ImageOps.mirror(small)
        grain = Image.frombytes("L", small.size, self.chance.randbytes(_WIDTH * _HEIGHT))
        small = Image.blend(small, Image.merge("RGB", (grain, grain, grain)), 0.035)
        warm = (255, 236, 200) if self.chance.random() < 0.5 else (214, 228, 255)
        return Image.blend(small, Image.new("RGB", small.size, warm), self.chance.uniform(0.02, 0.09))

    def vary(self, colour: Colour, spread: int = 12) -> Colour:
        """Return a colour near `colour`."""
        lift = self.chance.randint(-spread, spread)
        red, green, blue = (
            min(255, max(0, part + lift + self.chance.randint(-spread // 3, spread // 3))) for part in colour
        )
        return red, green, blue

    def jitter(self, spread: float = 0.012) -> float:
        """Return a small shift to either side."""
        return self.chance.uniform(-spread, spread)

    def polygon(self, points: Sequence[Point], colour: Colour) -> None:
        """Fill a polygon."""
        self._draw.polygon([self._at(point) for point in points], fill=colour)

    def box(self, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
        """Fill an upright rectangle."""
        self._draw.rectangle((*self._at((left, top)), *self._at((right, bottom))), fill=colour)

    def ellipse(self, centre: Point, across: float, down: float, colour: Colour) -> None:
        """Fill an ellipse of the given radii; `across` and `down` are both shares of the picture's width."""
        x, y = self._at(centre)
        width = self._size[0]
        self._draw.ellipse((x - across * width, y - down * width, x + across * width, y + down * width), fill=colour)

    def line(self, points: Sequence[Point], colour: Colour, thick: float = 0.004) -> None:
        """Draw a line; `thick` is a share of the picture's width."""
        width = max(1, round(thick * self._size[0]))
        self._draw.line([self._at(point) for point in points], fill=colour, width=width, joint="curve")

    def fade(self, top: float, bottom: float, above: Colour, below: Colour) -> None:
        """Fill the picture between two heights with a colour that turns from `above` to `below`."""
        first, last = round(top * self._size[1]), round(bottom * self._size[1])
        for row in range(first, last):
            colour = mix(above, below, (row - first) / max(1, last - first))
            self._draw.line(((0, row), (self._size[0], row)), fill=colour)

    def sky(self, horizon: float, above: Colour, below: Colour, clouds: int = 3) -> None:
        """Paint the sky down to `horizon` with soft clouds."""
        low = self.vary(below)
        self.fade(0, horizon, self.vary(above), low)
        self.box(0, horizon, 1, 1, low)
        veil = Image.new("L", (_WIDTH, _HEIGHT))  # soft anyway, so half the size will do
        brush = ImageDraw.Draw(veil)
        for _ in range(clouds):
            x, y = self.chance.uniform(0, 1), self.chance.uniform(0.05, horizon * 0.75)
            for _ in range(self.chance.randint(4, 8)):
                self._puff(brush, (x + self.chance.gauss(0, 0.07), y + self.chance.gauss(0, 0.015)))
        veil = veil.filter(ImageFilter.GaussianBlur(_WIDTH * 0.012)).resize(self._size, Image.Resampling.BILINEAR)
        self._image.paste((246, 247, 250), (0, 0), veil)

    def _puff(self, brush: ImageDraw.ImageDraw, centre: Point) -> None:
        x, y = centre[0] * _WIDTH, centre[1] * _HEIGHT
        across = self.chance.uniform(0.03, 0.08) * _WIDTH
        brush.ellipse((x - across, y - across * 0.4, x + across, y + across * 0.4), fill=self.chance.randint(90, 190))

    def glow(self, centre: Point, radius: float, colour: Colour) -> None:
        """Lay a soft round light over what is there."""
        veil = Image.new("L", self._size)
        x, y = self._at(centre)
        reach = radius * self._size[0]
        ImageDraw.Draw(veil).ellipse((x - reach, y - reach, x + reach, y + reach), fill=170)
        self._image.paste(colour, (0, 0), veil.filter(ImageFilter.GaussianBlur(reach * 0.6)))

    def ridge(self, height: float, rise: float, colour: Colour, rough: float = 0.5) -> list[Point]:
        """Paint land below a wavy line around `height` and return that line; `rise` is how far it goes up and down."""
        points = self._wave(height, rise, rough)
        self.polygon([*points, (1, 1), (0, 1)], colour)
        return points

    def _wave(self, height: float, rise: float, rough: float) -> list[Point]:
        """Return a line from left to right by halving its pieces and shifting their middles, ever less."""
        heights = [self.chance.uniform(-1, 1), self.chance.uniform(-1, 1)]
        shift = 1.0
        for _ in range(6):
            middles = [(a + b) / 2 + self.chance.uniform(-shift, shift) for a, b in pairwise(heights)]
            heights = [value for pair in zip(heights, middles, strict=False) for value in pair] + heights[-1:]
            shift *= rough
        last = len(heights) - 1
        return [(step / last, height + rise * value / 2) for step, value in enumerate(heights)]

    def speckle(
        self, area: tuple[float, float, float, float], colours: Sequence[Colour], count: int, size: float
    ) -> None:
        """Strew small strokes of `colours` over (left, top, right, bottom), larger towards the bottom."""
        left, top, right, bottom = area
        for _ in range(count):
            x, depth = self.chance.uniform(left, right), self.chance.random() ** 1.5
            y = top + (bottom - top) * depth
            reach = size * (0.4 + depth)
            self.ellipse((x, y), reach, reach * 0.5, self.vary(self.chance.choice(colours), 10))

    def tree(self, foot: Point, height: float, colour: Colour) -> None:
        """Paint a broad-leaved tree that is `height` tall."""
        x, y = foot
        self.line([(x, y), (x, y - height * 0.5)], self.vary((84, 66, 50)), height * 0.07)
        for _ in range(12):
            centre = (x + self.chance.gauss(0, height * 0.15), y - height * self.chance.uniform(0.5, 0.95))
            shade = mix(colour, (235, 240, 170), max(0.0, (y - centre[1]) / height - 0.5) * 0.35)
            self.ellipse(centre, height * 0.12, height * 0.11, self.vary(shade, 14))

    def conifer(self, foot: Point, height: float, colour: Colour) -> None:
        """Paint a fir that is `height` tall."""
        x, y = foot
        self.line([(x, y), (x, y - height * 0.3)], (74, 58, 46), height * 0.05)
        for step in range(4):
            low, wide = y - height * (0.12 + 0.2 * step), height * (0.24 - 0.045 * step)
            self.polygon([(x - wide, low), (x + wide, low), (x, low - height * 0.34)], self.vary(colour, 8))

    def _at(self, point: Point) -> tuple[float, float]:
        return point[0] * self._size[0], point[1] * self._size[1]
