"""How the demo paints the countryside: coast, wood, lake, mountain, moor, evening sky, farm, quarry."""

from geotag_batch.run.demo.canvas import BLUE, GRASS, GREY, LEAF, PALE, STONE, Canvas, mix

__all__ = [
    "paint_coast",
    "paint_farm",
    "paint_lake",
    "paint_moor",
    "paint_mountain",
    "paint_quarry",
    "paint_sunset",
    "paint_wood",
]


def paint_coast(canvas: Canvas, cliffs: bool) -> None:
    """Paint a beach and the sea, perhaps below cliffs."""
    canvas.sky(0.45, BLUE, PALE)
    canvas.fade(0.45, 0.78, canvas.vary((44, 104, 142)), canvas.vary((104, 168, 180)))
    for _ in range(14):
        y = canvas.chance.uniform(0.48, 0.76)
        x = canvas.chance.random()
        canvas.line([(x, y), (x + 0.15 * y, y)], (196, 222, 226), 0.003)
    if cliffs:
        top = canvas.chance.uniform(0.2, 0.28)
        canvas.polygon(
            [(1, top), (0.62, top + 0.04), (0.5, 0.62), (0.56, 0.7), (1, 0.74)], canvas.vary((196, 178, 150))
        )
        canvas.polygon([(1, top - 0.02), (0.6, top + 0.03), (0.63, top + 0.08), (1, top + 0.05)], canvas.vary(GRASS))
        for _ in range(9):
            x = canvas.chance.uniform(0.62, 0.98)
            canvas.line([(x, 0.36), (x - 0.03, 0.68)], canvas.vary((150, 130, 108)), 0.005)
    shore = [(0, 0.74), (0.3, 0.78), (0.65, 0.76), (1, 0.7), (1, 1), (0, 1)]
    canvas.polygon([(x, y - 0.025) for x, y in shore[:4]] + shore[4:], (240, 244, 244))
    canvas.polygon(shore, canvas.vary((226, 202, 152)))
    canvas.speckle((0, 0.82, 1, 1), [(202, 176, 128), (238, 218, 176)], 120, 0.008)


def paint_wood(canvas: Canvas, stream: bool) -> None:
    """Paint a wood from inside, perhaps with a stream."""
    canvas.fade(0, 0.6, canvas.vary((186, 206, 158)), canvas.vary((96, 128, 66)))
    canvas.fade(0.6, 1, canvas.vary((82, 98, 46)), canvas.vary((106, 84, 50)))
    for depth in (0.62, 0.7, 0.82, 0.96):
        for _ in range(9):
            x, thick = canvas.chance.uniform(-0.05, 1.05), 0.03 * depth**3
            shade = mix((64, 52, 40), (132, 146, 100), 1 - depth)
            canvas.line([(x, depth), (x + canvas.chance.gauss(0, 0.02), 0)], canvas.vary(shade, 8), thick)
    canvas.speckle((0, -0.1, 1, 0.45), [LEAF, (92, 132, 52), (52, 86, 40)], 260, 0.035)
    canvas.speckle((0, 0.64, 1, 1), [(134, 104, 56), (88, 112, 48), (76, 62, 40)], 220, 0.014)
    if stream:
        canvas.polygon([(0.46, 0.62), (0.52, 0.62), (0.6, 0.8), (0.8, 1), (0.28, 1), (0.42, 0.8)], (124, 152, 164))
        canvas.speckle((0.42, 0.75, 0.66, 1), [(220, 230, 232), (92, 110, 116)], 40, 0.012)


def paint_lake(canvas: Canvas, reeds: bool) -> None:
    """Paint a lake before hills, perhaps with reeds."""
    canvas.sky(0.42, BLUE, PALE)
    canvas.ridge(0.34, 0.16, canvas.vary((118, 138, 150)))
    canvas.ridge(0.42, 0.06, canvas.vary((92, 118, 84)))
    canvas.fade(0.48, 1, canvas.vary((128, 166, 192)), canvas.vary((50, 84, 112)))
    for _ in range(26):
        y, x = canvas.chance.uniform(0.5, 0.98), canvas.chance.uniform(-0.1, 1)
        canvas.line([(x, y), (x + 0.3 * y, y)], canvas.vary((152, 184, 204)), 0.002)
    if reeds:
        for _ in range(170):
            x = canvas.chance.random()
            canvas.line(
                [(x, 1), (x + canvas.chance.gauss(0, 0.02), canvas.chance.uniform(0.7, 0.86))],
                canvas.vary((168, 152, 80), 24),
                0.004,
            )


def paint_mountain(canvas: Canvas, snow: bool) -> None:
    """Paint a mountain, perhaps with snow on it."""
    canvas.sky(0.6, (110, 150, 196), PALE, 4)
    canvas.ridge(0.44, 0.2, canvas.vary((142, 156, 176)))
    peak, top = canvas.chance.uniform(0.32, 0.68), canvas.chance.uniform(0.12, 0.2)
    left = [(peak - 0.07 * step + canvas.jitter(), top + 0.105 * step + canvas.jitter()) for step in range(1, 8)]
    right = [(peak + 0.07 * step + canvas.jitter(), top + 0.1 * step + canvas.jitter()) for step in range(1, 8)]
    spine = [(peak + canvas.jitter(0.02), top + 0.1 * step) for step in range(1, 7)]
    rock = canvas.vary((112, 112, 106))
    canvas.polygon([(peak, top), *right, *left[::-1]], rock)
    canvas.polygon([(peak, top), *right, *spine[::-1]], mix(rock, (40, 44, 58), 0.3))
    if snow:
        ragged = [(peak + 0.035 * step, top + 0.2 + canvas.jitter(0.03)) for step in range(3, -4, -1)]
        canvas.polygon([(peak, top), *right[:2], *ragged, *left[1::-1]], (244, 247, 252))
    canvas.ridge(0.74, 0.12, canvas.vary((122, 124, 74)))
    canvas.ridge(0.86, 0.08, canvas.vary((146, 134, 76)))
    canvas.speckle((0, 0.84, 1, 1), [(166, 150, 90), (110, 112, 64), STONE], 140, 0.012)


def paint_moor(canvas: Canvas, stones: bool) -> None:
    """Paint heather in flower, perhaps with boulders."""
    canvas.sky(0.5, (150, 164, 184), (222, 222, 220), 5)
    canvas.ridge(0.46, 0.05, canvas.vary((126, 110, 128)))
    canvas.ridge(0.56, 0.05, canvas.vary((112, 78, 104)))
    canvas.ridge(0.7, 0.06, canvas.vary((104, 74, 84)))
    canvas.speckle((0, 0.58, 1, 1), [(150, 84, 136), (168, 104, 150), (104, 84, 60), (124, 112, 68)], 520, 0.012)
    for _ in range(7 if stones else 0):
        x, y = canvas.chance.random(), canvas.chance.uniform(0.66, 0.9)
        grey = canvas.vary(STONE, 18)
        canvas.ellipse((x, y), 0.07 * y, 0.05 * y, grey)
        canvas.ellipse((x - 0.015, y - 0.02), 0.05 * y, 0.03 * y, mix(grey, (255, 255, 255), 0.25))


def paint_sunset(canvas: Canvas, _more: bool) -> None:
    """Paint an evening sky."""
    warm = canvas.vary(canvas.chance.choice([(246, 152, 72), (240, 118, 96), (250, 190, 96)]))
    canvas.fade(0, 1, canvas.vary((70, 72, 128)), warm)
    sun = (canvas.chance.uniform(0.2, 0.8), canvas.chance.uniform(0.56, 0.7))
    canvas.glow(sun, 0.2, (255, 226, 150))
    canvas.ellipse(sun, 0.035, 0.035, (255, 246, 214))
    for _ in range(11):
        x, y = canvas.chance.uniform(-0.1, 0.9), canvas.chance.uniform(0.1, 0.66)
        canvas.ellipse((x, y), canvas.chance.uniform(0.08, 0.22), 0.008, mix((86, 66, 104), warm, y))
    canvas.ridge(0.8, 0.07, (46, 40, 54))
    canvas.ridge(0.9, 0.06, (30, 28, 38))


def paint_farm(canvas: Canvas, sheep: bool) -> None:
    """Paint a barn and a stubble field, or pasture with sheep."""
    canvas.sky(0.42, BLUE, PALE)
    canvas.ridge(0.42, 0.06, canvas.vary((128, 156, 96)))
    field = canvas.vary((206, 178, 84) if not sheep else (126, 166, 70))
    canvas.ridge(0.54, 0.03, field)
    if not sheep:
        for step in range(-8, 20):
            canvas.line(
                [(0.5 + (step - 6) * 0.03, 0.56), (0.5 + (step - 6) * 0.17, 1)], mix(field, (150, 116, 50), 0.45), 0.007
            )
    x = canvas.chance.uniform(0.12, 0.62)
    canvas.box(x, 0.4, x + 0.22, 0.55, canvas.vary((150, 62, 48)))
    canvas.polygon([(x - 0.02, 0.4), (x + 0.05, 0.31), (x + 0.19, 0.31), (x + 0.24, 0.4)], canvas.vary((96, 92, 96)))
    canvas.box(x + 0.08, 0.45, x + 0.14, 0.55, (70, 44, 38))
    canvas.tree((x + 0.29, 0.56), 0.22, LEAF)
    for _ in range(11 if sheep else 0):
        sheep_x, y = canvas.chance.random(), canvas.chance.uniform(0.64, 0.95)
        canvas.ellipse((sheep_x, y), 0.035 * y, 0.024 * y, (240, 236, 226))
        canvas.ellipse((sheep_x + 0.035 * y, y - 0.008), 0.011 * y, 0.011 * y, (52, 48, 46))


def paint_quarry(canvas: Canvas, flooded: bool) -> None:
    """Paint the terraces of a quarry, with a digger or flooded."""
    canvas.sky(0.28, GREY, PALE)
    canvas.ridge(0.22, 0.04, canvas.vary((112, 138, 70)))
    for step in range(5):
        top = 0.25 + 0.13 * step
        face = canvas.vary((206, 190, 160), 10)
        canvas.ridge(top, 0.03, mix(face, (120, 104, 88), 0.25))
        for _ in range(22):
            x = canvas.chance.random()
            canvas.line(
                [(x, top + 0.02), (x + canvas.chance.gauss(0, 0.01), top + 0.09)], canvas.vary((150, 132, 108)), 0.004
            )
        canvas.ridge(top + 0.09, 0.02, mix(face, (255, 250, 235), 0.35))
    if flooded:
        canvas.ellipse((0.5, 0.95), 0.46, 0.15, canvas.vary((72, 150, 156)))
        canvas.ellipse((0.46, 0.92), 0.3, 0.05, canvas.vary((110, 180, 182)))
    else:
        x = canvas.chance.uniform(0.2, 0.6)
        canvas.box(x, 0.82, x + 0.12, 0.88, (222, 170, 40))
        canvas.line([(x + 0.1, 0.84), (x + 0.17, 0.74), (x + 0.23, 0.86)], (222, 170, 40), 0.012)
        canvas.box(x - 0.01, 0.88, x + 0.13, 0.92, (48, 46, 46))
