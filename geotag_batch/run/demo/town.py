"""How the demo paints what people built: church, road, railway, houses, canal, turbines, castle, harbour."""

import math

from geotag_batch.run.demo.canvas import BLUE, GRASS, GREY, LEAF, PALE, Canvas, mix

__all__ = [
    "paint_canal",
    "paint_castle",
    "paint_church",
    "paint_harbour",
    "paint_houses",
    "paint_railway",
    "paint_road",
    "paint_turbines",
]


def paint_church(canvas: Canvas, graves: bool) -> None:
    """Paint a church, perhaps with graves before it."""
    canvas.sky(0.62, (126, 164, 206), PALE)
    canvas.ridge(0.62, 0.04, canvas.vary(GRASS))
    for x in (0.06, 0.95):
        canvas.tree((x, 0.72), 0.38, LEAF)
    stone, x = canvas.vary((190, 178, 152)), canvas.chance.uniform(0.2, 0.34)
    canvas.box(x + 0.13, 0.44, x + 0.48, 0.72, stone)
    canvas.polygon([(x + 0.13, 0.44), (x + 0.17, 0.33), (x + 0.46, 0.33), (x + 0.5, 0.44)], canvas.vary((98, 94, 98)))
    canvas.box(x, 0.26, x + 0.15, 0.72, mix(stone, (255, 255, 255), 0.12))
    canvas.polygon([(x - 0.01, 0.26), (x + 0.075, 0.04), (x + 0.16, 0.26)], canvas.vary((112, 108, 112)))
    for window in range(3):
        left = x + 0.2 + 0.09 * window
        canvas.box(left, 0.53, left + 0.035, 0.64, (62, 66, 84))
        canvas.ellipse((left + 0.0175, 0.53), 0.0175, 0.02, (62, 66, 84))
    canvas.box(x + 0.05, 0.58, x + 0.1, 0.72, (84, 58, 40))
    canvas.fade(0.72, 1, canvas.vary((120, 156, 72)), canvas.vary((92, 130, 54)))
    for step in range(16 if graves else 0):
        grave, y = 0.06 + 0.24 * (step % 4) + canvas.chance.uniform(0, 0.12), 0.8 + 0.06 * (step // 4)
        canvas.box(grave, y - 0.07, grave + 0.04, y, canvas.vary((146, 146, 142)))
        canvas.ellipse((grave + 0.02, y - 0.07), 0.02, 0.018, canvas.vary((146, 146, 142)))


def paint_road(canvas: Canvas, houses: bool) -> None:
    """Paint a straight road, perhaps with a village beside it."""
    canvas.sky(0.5, GREY, PALE, 5)
    canvas.ridge(0.48, 0.04, canvas.vary((106, 136, 70)))
    canvas.fade(0.52, 1, canvas.vary((118, 148, 72)), canvas.vary((98, 128, 60)))
    middle = canvas.chance.uniform(0.42, 0.58)
    canvas.polygon([(middle - 0.02, 0.52), (middle + 0.02, 0.52), (1.02, 1), (-0.02, 1)], canvas.vary((88, 90, 96)))
    for step in range(6):
        y = 0.55 + 0.45 * (step / 6) ** 1.6
        wide = 0.003 + 0.016 * (y - 0.5) * 2
        x = middle + (0.5 - middle) * (y - 0.52) / 0.48
        canvas.polygon(
            [(x - wide, y), (x + wide, y), (x + wide * 1.4, y + 0.05 * y), (x - wide * 1.4, y + 0.05 * y)],
            (244, 244, 240),
        )
    for side in (-1, 1):
        for step in range(5):
            far = 0.08 + 0.11 * step
            canvas.ellipse(
                (middle + side * far * 1.2, 0.53 + far * 0.3), 0.05 + far * 0.1, 0.03 + far * 0.09, canvas.vary(LEAF)
            )
    if houses:
        _row_of_houses(canvas, 0.66, 0.42, 0.56)


def paint_railway(canvas: Canvas, station: bool) -> None:
    """Paint a railway line, perhaps with a station."""
    canvas.sky(0.46, (138, 160, 186), PALE)
    canvas.ridge(0.44, 0.05, canvas.vary((88, 114, 70)))
    canvas.fade(0.5, 1, canvas.vary((146, 128, 112)), canvas.vary((116, 100, 88)))
    canvas.speckle((0, 0.54, 1, 1), [(168, 154, 142), (92, 80, 72)], 260, 0.009)
    for step in range(15):
        y = 0.5 + 0.5 * ((step + 1) / 15) ** 2
        wide = 0.03 + 0.5 * (y - 0.5) * 1.3
        canvas.line([(0.5 - wide, y), (0.5 + wide, y)], canvas.vary((76, 56, 44)), 0.03 * (y - 0.45))
    for side in (-1, 1):
        canvas.polygon(
            [(0.5 + side * 0.012, 0.5), (0.5 + side * 0.018, 0.5), (0.5 + side * 0.27, 1), (0.5 + side * 0.23, 1)],
            (196, 200, 206),
        )
    for x, foot in ((0.1, 0.8), (0.27, 0.64), (0.37, 0.56)):
        canvas.line([(x, foot), (x, foot - 0.8 * (0.5 - x))], (84, 92, 98), 0.01 * (0.6 - x))
        canvas.line([(x, foot - 0.75 * (0.5 - x)), (x + 0.4 * (0.5 - x), foot - 0.75 * (0.5 - x))], (84, 92, 98), 0.005)
    if station:
        canvas.polygon([(0.55, 0.5), (1, 0.62), (1, 0.94), (0.58, 0.53)], canvas.vary((188, 180, 172)))
        canvas.box(0.74, 0.3, 0.98, 0.58, canvas.vary((158, 84, 62)))
        canvas.polygon([(0.7, 0.32), (0.76, 0.22), (1, 0.2), (1, 0.32)], canvas.vary((84, 82, 90)))


def paint_houses(canvas: Canvas, shops: bool) -> None:
    """Paint a terrace of houses, perhaps with shops below."""
    canvas.sky(0.5, (134, 168, 206), PALE)
    _row_of_houses(canvas, canvas.chance.uniform(-0.1, 0), canvas.chance.uniform(0.3, 0.4), 0.72)
    if shops:
        for step in range(5):
            colour = canvas.chance.choice([(30, 92, 84), (150, 38, 44), (44, 62, 120), (190, 140, 40)])
            canvas.box(0.21 * step, 0.55, 0.21 * step + 0.19, 0.72, (206, 220, 226))
            canvas.polygon(
                [
                    (0.21 * step - 0.01, 0.57),
                    (0.21 * step, 0.51),
                    (0.21 * step + 0.19, 0.51),
                    (0.21 * step + 0.2, 0.57),
                ],
                colour,
            )
    canvas.fade(0.72, 0.8, (176, 172, 166), (160, 156, 152))
    canvas.fade(0.8, 1, canvas.vary((104, 106, 110)), canvas.vary((84, 86, 92)))
    for _ in range(canvas.chance.randint(1, 3)):
        x, colour = (
            canvas.chance.random() * 0.8,
            canvas.vary(canvas.chance.choice([(164, 40, 40), (60, 84, 130), (210, 212, 214)])),
        )
        canvas.box(x, 0.78, x + 0.2, 0.85, colour)
        canvas.polygon([(x + 0.04, 0.78), (x + 0.07, 0.72), (x + 0.14, 0.72), (x + 0.18, 0.78)], (70, 84, 98))
        for wheel in (x + 0.05, x + 0.15):
            canvas.ellipse((wheel, 0.855), 0.022, 0.022, (34, 34, 36))


def _row_of_houses(canvas: Canvas, left: float, top: float, foot: float) -> None:
    x, wide = left, 0.11
    while x < 1:
        wall = canvas.vary(canvas.chance.choice([(178, 96, 72), (206, 188, 160), (226, 218, 202), (164, 110, 86)]))
        canvas.box(x, top, x + wide, foot, wall)
        canvas.polygon([(x, top), (x + wide * 0.5, top - 0.09), (x + wide, top)], canvas.vary((104, 84, 80)))
        for row in (top + 0.03, top + (foot - top) * 0.55):
            canvas.box(x + wide * 0.2, row, x + wide * 0.42, row + 0.05, (88, 104, 122))
            canvas.box(x + wide * 0.6, row, x + wide * 0.82, row + 0.05, (88, 104, 122))
        x += wide


def paint_canal(canvas: Canvas, bridge: bool) -> None:
    """Paint a narrowboat on a canal, perhaps before a bridge."""
    canvas.sky(0.42, (140, 172, 204), PALE)
    for step in range(9):
        foot = (0.13 * step + canvas.jitter(0.04), 0.52)
        canvas.tree(foot, canvas.chance.uniform(0.2, 0.34), LEAF)
    far = 0.5
    if bridge:
        far, brick = 0.56, canvas.vary((152, 92, 72))
        canvas.polygon([(0.14, 0.58), (0.14, 0.4), (0.5, 0.33), (0.86, 0.4), (0.86, 0.58)], brick)
        canvas.line([(0.14, 0.4), (0.5, 0.33), (0.86, 0.4)], mix(brick, (230, 220, 200), 0.5), 0.012)
        canvas.ellipse((0.5, 0.57), 0.13, 0.13, (118, 140, 120))
    canvas.fade(far, 1, canvas.vary((110, 142, 70)), canvas.vary((94, 126, 58)))
    canvas.polygon([(0.4, far), (0.57, far), (0.8, 1), (-0.15, 1)], canvas.vary((98, 112, 84)))
    canvas.polygon([(0.57, far), (0.61, far), (1, 0.88), (1, 1), (0.8, 1)], canvas.vary((202, 184, 150)))
    hull = canvas.vary(canvas.chance.choice([(36, 84, 66), (150, 36, 40), (34, 58, 108)]))
    x, y = canvas.chance.uniform(0.2, 0.28), canvas.chance.uniform(0.84, 0.92)
    canvas.polygon(
        [(x, y), (x + 0.02, y - 0.1), (0.46, 0.62), (0.49, 0.62), (x + 0.24, y - 0.05), (x + 0.22, y + 0.02)], hull
    )
    roof = mix(hull, (244, 226, 170), 0.6)
    canvas.polygon([(x + 0.04, y - 0.12), (0.455, 0.6), (0.485, 0.6), (x + 0.21, y - 0.1)], roof)


def paint_turbines(canvas: Canvas, _more: bool) -> None:
    """Paint wind turbines."""
    canvas.sky(0.74, (76, 138, 206), (216, 232, 244), 4)
    canvas.ridge(0.72, 0.08, canvas.vary((134, 160, 84)))
    for _ in range(canvas.chance.randint(3, 5)):
        x, tall = canvas.chance.uniform(0.08, 0.92), canvas.chance.uniform(0.34, 0.56)
        hub = (x, 0.78 - tall)
        canvas.polygon([(x - 0.007, 0.8), (x + 0.007, 0.8), (x + 0.003, hub[1]), (x - 0.003, hub[1])], (242, 244, 246))
        turn = canvas.chance.uniform(0, 1)
        for blade in range(3):
            east, south = _direction(turn + blade / 3)
            tip = (x + east * tall * 0.33, hub[1] + south * tall * 0.44)
            canvas.line([hub, tip], (236, 239, 243), 0.007)
        canvas.ellipse(hub, 0.009, 0.009, (220, 224, 228))
    canvas.ridge(0.86, 0.05, canvas.vary((120, 146, 70)))


def _direction(turn: float) -> tuple[float, float]:
    return math.sin(2 * math.pi * turn), -math.cos(2 * math.pi * turn)


def paint_castle(canvas: Canvas, _more: bool) -> None:
    """Paint a castle on its mound."""
    canvas.sky(0.6, BLUE, PALE)
    canvas.ridge(0.66, 0.05, canvas.vary((104, 146, 62)))
    canvas.polygon([(0.02, 0.86), (0.24, 0.62), (0.76, 0.62), (0.98, 0.86)], canvas.vary((122, 160, 76)))
    stone = canvas.vary((132, 122, 110))
    for left, right, top in ((0.3, 0.7, 0.42), (0.22, 0.36, 0.3), (0.62, 0.78, 0.26), (0.44, 0.56, 0.2)):
        wall = canvas.vary(stone, 8)
        canvas.box(left, top, right, 0.68, wall)
        for step in range(round((right - left) / 0.04)):
            canvas.box(left + 0.04 * step, top - 0.035, left + 0.04 * step + 0.02, top, wall)
        for _ in range(8):
            x, y = canvas.chance.uniform(left, right - 0.03), canvas.chance.uniform(top, 0.64)
            canvas.box(x, y, x + 0.025, y + 0.015, mix(wall, (78, 72, 66), 0.35))
    canvas.ellipse((0.5, 0.62), 0.035, 0.05, (48, 42, 40))
    canvas.box(0.465, 0.62, 0.535, 0.68, (48, 42, 40))
    canvas.fade(0.84, 1, canvas.vary((106, 146, 64)), canvas.vary((84, 122, 50)))


def paint_harbour(canvas: Canvas, _more: bool) -> None:
    """Paint boats in a harbour."""
    canvas.sky(0.4, (146, 176, 206), PALE)
    _row_of_houses(canvas, canvas.chance.uniform(-0.1, 0), 0.36, 0.48)
    canvas.fade(0.48, 0.54, canvas.vary((150, 140, 128)), canvas.vary((104, 96, 90)))
    canvas.fade(0.54, 1, canvas.vary((76, 118, 134)), canvas.vary((34, 62, 82)))
    for _ in range(canvas.chance.randint(4, 6)):
        x, y = canvas.chance.uniform(0.02, 0.86), canvas.chance.uniform(0.62, 0.92)
        hull = canvas.vary(canvas.chance.choice([(232, 232, 228), (36, 70, 128), (178, 48, 42), (40, 110, 90)]))
        size = 0.1 + 0.12 * (y - 0.6)
        canvas.line([(x + size * 0.5, y), (x + size * 0.5, y - size * 2.4)], (222, 216, 204), 0.005)
        canvas.line([(x + size * 0.5, y - size * 2.3), (x + size * 1.1, y)], (200, 196, 190), 0.002)
        canvas.polygon(
            [(x, y), (x + size * 1.2, y), (x + size, y + size * 0.45), (x + size * 0.2, y + size * 0.45)], hull
        )
        canvas.box(x + size * 0.3, y - size * 0.3, x + size * 0.7, y, mix(hull, (255, 255, 255), 0.6))
    canvas.speckle((0, 0.6, 1, 1), [(120, 160, 172), (54, 88, 104)], 60, 0.01)
