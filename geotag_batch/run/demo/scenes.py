"""What the demo's photos show: sixteen kinds of scene, their tags and titles, and real places where they could be.

A scene may hold something more (graves beside a church, cliffs above a beach) that deserves a second tag.
"""

from collections.abc import Callable
from dataclasses import dataclass

from geotag_batch.run.demo.canvas import Canvas
from geotag_batch.run.demo.country import (
    paint_coast,
    paint_farm,
    paint_lake,
    paint_moor,
    paint_mountain,
    paint_quarry,
    paint_sunset,
    paint_wood,
)
from geotag_batch.run.demo.town import (
    paint_canal,
    paint_castle,
    paint_church,
    paint_harbour,
    paint_houses,
    paint_railway,
    paint_road,
    paint_turbines,
)

__all__ = ["PLACES", "SCENES", "Scene"]


@dataclass(frozen=True, slots=True)
class Scene:
    """One kind of scene; `paint` is told whether to paint the something more, too.

    Titles have the place's name for ``{}``; `where` names the kinds of place (keys of PLACES) that have such scenes.
    """

    tag: str
    where: tuple[str, ...]
    paint: Callable[[Canvas, bool], None]
    titles: tuple[str, ...]
    more_tag: str | None = None
    more_titles: tuple[str, ...] = ()


SCENES = (
    Scene(
        "Coastal",
        ("coast",),
        paint_coast,
        ("The beach at {}", "{} sands at low tide", "Waves on the shore, {}", "Looking out to sea from {}"),
        "Rocks, Scree, Cliffs",
        ("Sea cliffs near {}", "Beach below the cliffs at {}", "Cliff and shore, {}"),
    ),
    Scene(
        "Woodland, Forest",
        ("inland", "hills"),
        paint_wood,
        ("Beech wood near {}", "In the woods above {}", "{} forest", "Trees in the old wood, {}"),
        "Rivers, Streams, Drainage",
        ("Stream in the wood near {}", "A brook through {} forest", "Woodland stream, {}"),
    ),
    Scene(
        "Lakes, Wetland, Bog",
        ("hills", "inland"),
        paint_lake,
        ("The lake near {}", "Calm lough at {}", "Lake shore, {}", "Reeds beside the loch, {}"),
    ),
    Scene(
        "Uplands",
        ("hills",),
        paint_mountain,
        ("The summit above {}", "Steep mountain slopes, {}", "Mountain seen from {}", "Peak in winter near {}"),
    ),
    Scene(
        "Moorland",
        ("hills",),
        paint_moor,
        ("Heather moorland near {}", "On the moor above {}", "{} moor in August", "Purple heather, {}"),
        "Rocks, Scree, Cliffs",
        ("Boulders on the moor, {}", "Rocks in the heather near {}", "Granite rocks on {} moor"),
    ),
    Scene(
        "Air, Sky, Weather",
        ("coast", "inland"),
        paint_sunset,
        ("Sunset over {}", "Evening sky at {}", "The sun going down near {}", "Red sky at night, {}"),
    ),
    Scene(
        "Farm, Fishery, Market Gardening",
        ("inland",),
        paint_farm,
        ("Ripe barley at {} farm", "Arable field and barn, {}", "Barn near {}", "Stubble field, {} farm"),
        "Grassland",
        ("Sheep pasture at {}", "Grazing sheep on the meadow, {}", "Pasture and barn near {}"),
    ),
    Scene(
        "Quarrying, Mining",
        ("hills", "inland"),
        paint_quarry,
        ("Limestone quarry near {}", "Working quarry, {}", "Digger in the quarry at {}", "{} quarry face"),
        "Lakes, Wetland, Bog",
        ("Flooded quarry near {}", "Lake in the old quarry, {}", "Pool in {} quarry"),
    ),
    Scene(
        "Religious sites",
        ("inland", "coast"),
        paint_church,
        ("St Mary's church, {}", "Parish church at {}", "{} church", "The spire of St Michael's, {}"),
        "Burial ground, Crematorium",
        ("Churchyard and graves, {}", "Gravestones beside {} church", "Old graves at St Mary's, {}"),
    ),
    Scene(
        "Roads, Road transport",
        ("inland", "hills"),
        paint_road,
        ("The main road to {}", "A straight road near {}", "Road heading for {}", "B-road towards {}"),
        "Village, Rural settlement",
        ("Road into {} village", "Village by the road, {}", "Cottages on the road through {}"),
    ),
    Scene(
        "Railways",
        ("inland", "coast"),
        paint_railway,
        ("Railway line near {}", "{} railway station", "Tracks at {} junction", "Railway towards {}"),
    ),
    Scene(
        "Housing, Dwellings",
        ("inland", "coast"),
        paint_houses,
        ("Terraced houses in {}", "Houses on Station Street, {}", "{} terrace", "Row of brick houses, {}"),
        "Business, Retail, Services",
        ("Shops in {}", "Shops below the houses, {}", "Parade of shops, {}"),
    ),
    Scene(
        "Canals",
        ("inland",),
        paint_canal,
        ("Narrowboat on the canal, {}", "Canal at {}", "Towpath of the canal near {}", "Canal bridge, {}"),
    ),
    Scene(
        "Energy infrastructure",
        ("hills", "coast"),
        paint_turbines,
        ("Wind turbines near {}", "{} wind farm", "Wind farm above {}", "Turbines turning, {}"),
    ),
    Scene(
        "Historic sites and artefacts",
        ("coast", "hills"),
        paint_castle,
        ("{} Castle", "The castle ruins, {}", "Castle walls at {}", "Keep of the castle, {}"),
    ),
    Scene(
        "Docks, Harbours",
        ("coast",),
        paint_harbour,
        ("Boats in {} harbour", "The harbour at {}", "Fishing boats, {}", "Harbour and quay, {}"),
    ),
)

PLACES: dict[str, tuple[tuple[str, str], ...]] = {
    "coast": (
        ("SW5140", "St Ives"),
        ("SX4754", "Plymouth"),
        ("TQ3104", "Brighton"),
        ("TR3241", "Dover"),
        ("NZ8911", "Whitby"),
        ("NM8530", "Oban"),
        ("NG4843", "Portree"),
        ("HY4410", "Kirkwall"),
        ("NB4232", "Stornoway"),
        ("SN5881", "Aberystwyth"),
        ("M2925", "Galway"),
        ("T0421", "Wexford"),
        ("S5801", "Tramore"),
        ("J5082", "Bangor"),
        ("C8540", "Portrush"),
    ),
    "hills": (
        ("NY3704", "Ambleside"),
        ("NY2623", "Keswick"),
        ("SH5860", "Llanberis"),
        ("NN1073", "Fort William"),
        ("NH8912", "Aviemore"),
        ("SK1285", "Edale"),
        ("SX5973", "Princetown"),
        ("V9690", "Killarney"),
        ("L9884", "Westport"),
        ("J3731", "Newcastle, County Down"),
    ),
    "inland": (
        ("SU4829", "Winchester"),
        ("SP5106", "Oxford"),
        ("TL5480", "Ely"),
        ("SE6052", "York"),
        ("NZ2742", "Durham"),
        ("SO5139", "Hereford"),
        ("SJ4066", "Chester"),
        ("SK9771", "Lincoln"),
        ("ST7564", "Bath"),
        ("NS7993", "Stirling"),
        ("NT5434", "Melrose"),
        ("H2344", "Enniskillen"),
        ("S5056", "Kilkenny"),
        ("N0441", "Athlone"),
        ("H8745", "Armagh"),
    ),
}
"""Kinds of place: (1 km square of the British or Irish grid, name of what is there)."""
