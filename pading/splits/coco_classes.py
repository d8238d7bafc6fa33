"""The published zero-shot class splits of COCO, as tables in code: nothing to download, nothing to get wrong."""

import functools

from pading.classes import ClassTable

# "COCO id name" in COCO's own order.
THINGS = """
1 person, 2 bicycle, 3 car, 4 motorcycle, 5 airplane, 6 bus, 7 train, 8 truck, 9 boat, 10 traffic light,
11 fire hydrant, 13 stop sign, 14 parking meter, 15 bench, 16 bird, 17 cat, 18 dog, 19 horse, 20 sheep, 21 cow,
22 elephant, 23 bear, 24 zebra, 25 giraffe, 27 backpack, 28 umbrella, 31 handbag, 32 tie, 33 suitcase,
34 frisbee, 35 skis, 36 snowboard, 37 sports ball, 38 kite, 39 baseball bat, 40 baseball glove, 41 skateboard,
42 surfboard, 43 tennis racket, 44 bottle, 46 wine glass, 47 cup, 48 fork, 49 knife, 50 spoon, 51 bowl,
52 banana, 53 apple, 54 sandwich, 55 orange, 56 broccoli, 57 carrot, 58 hot dog, 59 pizza, 60 donut, 61 cake,
62 chair, 63 couch, 64 potted plant, 65 bed, 67 dining table, 70 toilet, 72 tv, 73 laptop, 74 mouse, 75 remote,
76 keyboard, 77 cell phone, 78 microwave, 79 oven, 80 toaster, 81 sink, 82 refrigerator, 84 book, 85 clock,
86 vase, 87 scissors, 88 teddy bear, 89 hair drier, 90 toothbrush
"""
LAST_THING_ID = 90
# The 53 stuff classes of COCO panoptic 2017: some of COCO-Stuff's, the rest of them merged under ids from 184.
PANOPTIC_STUFF = """
92 banner, 93 blanket, 95 bridge, 100 cardboard, 107 counter, 109 curtain, 112 door-stuff, 118 floor-wood,
119 flower, 122 fruit, 125 gravel, 128 house, 130 light, 133 mirror-stuff, 138 net, 141 pillow, 144 platform,
145 playingfield, 147 railroad, 148 river, 149 road, 151 roof, 154 sand, 155 sea, 156 shelf, 159 snow,
161 stairs, 166 tent, 168 towel, 171 wall-brick, 175 wall-stone, 176 wall-tile, 177 wall-wood, 178 water-other,
180 window-blind, 181 window-other, 184 tree-merged, 185 fence-merged, 186 ceiling-merged, 187 sky-other-merged,
188 cabinet-merged, 189 table-merged, 190 floor-other-merged, 191 pavement-merged, 192 mountain-merged,
193 grass-merged, 194 dirt-merged, 195 paper-merged, 196 food-other-merged, 197 building-other-merged,
198 rock-merged, 199 wall-other-merged, 200 rug-merged
"""
# The 91 stuff classes of COCO-Stuff 2017: every id from 92 to 182.
STUFF = """
92 banner, 93 blanket, 94 branch, 95 bridge, 96 building-other, 97 bush, 98 cabinet, 99 cage, 100 cardboard,
101 carpet, 102 ceiling-other, 103 ceiling-tile, 104 cloth, 105 clothes, 106 clouds, 107 counter, 108 cupboard,
109 curtain, 110 desk-stuff, 111 dirt, 112 door-stuff, 113 fence, 114 floor-marble, 115 floor-other,
116 floor-stone, 117 floor-tile, 118 floor-wood, 119 flower, 120 fog, 121 food-other, 122 fruit,
123 furniture-other, 124 grass, 125 gravel, 126 ground-other, 127 hill, 128 house, 129 leaves, 130 light, 131 mat,
132 metal, 133 mirror-stuff, 134 moss, 135 mountain, 136 mud, 137 napkin, 138 net, 139 paper, 140 pavement,
141 pillow, 142 plant-other, 143 plastic, 144 platform, 145 playingfield, 146 railing, 147 railroad, 148 river,
149 road, 150 rock, 151 roof, 152 rug, 153 salad, 154 sand, 155 sea, 156 shelf, 157 sky-other, 158 skyscraper,
159 snow, 160 solid-other, 161 stairs, 162 stone, 163 straw, 164 structural-other, 165 table, 166 tent,
167 textile-other, 168 towel, 169 tree, 170 vegetable, 171 wall-brick, 172 wall-concrete, 173 wall-other,
174 wall-panel, 175 wall-stone, 176 wall-tile, 177 wall-wood, 178 water-other, 179 waterdrops, 180 window-blind,
181 window-other, 182 wood
"""
# Ids that COCO reserved and never annotated, as pixel values of the stuff-thing maps (COCO id - 1): no such pixel.
ABSENT_PNG_VALUES = (11, 25, 28, 29, 44, 65, 67, 68, 70, 82, 90)

# SPNet's unseen COCO-Stuff classes, as far as the panoptic classes have them; PADing, Sec. 4.1.
PANOPTIC_UNSEEN_14 = (21, 25, 33, 34, 41, 57, 87, 100, 145, 148, 149, 184, 187, 193)
# SPNet, Sec. 4.1; its validation classes count as seen, as everywhere since.
STUFF_UNSEEN_15 = (21, 25, 33, 34, 41, 57, 87, 100, 106, 124, 145, 148, 149, 169, 172)
# ZSI's category order, in which its word vectors are stored: seen, then unseen. 48/17 leaves fifteen things out.
INSTANCES_SEEN_48 = (
    *(1, 2, 3, 4, 8, 9, 15, 16, 19, 20, 24, 25, 27, 31, 35, 38, 42, 44, 50, 51, 52, 53, 55, 56, 57, 59, 60, 62, 65, 72),
    *(73, 75, 78, 79, 82, 84, 85, 86, 90, 7, 23, 33, 34, 48, 54, 70, 74, 80),
)
INSTANCES_UNSEEN_17 = (6, 18, 21, 22, 28, 32, 41, 47, 49, 61, 63, 76, 81, 87, 5, 17, 36)
INSTANCES_UNSEEN_15 = (5, 7, 14, 17, 23, 33, 34, 36, 48, 54, 58, 70, 74, 80, 89)


@functools.cache
def coco_panoptic_119_14() -> ClassTable:
    """Return the 133 classes of COCO panoptic 2017: 80 things, then 53 stuff; 119 seen, 14 unseen."""
    names = _read(THINGS) | _read(PANOPTIC_STUFF)
    return _table("coco-panoptic-119-14", names, tuple(names), PANOPTIC_UNSEEN_14)


@functools.cache
def coco_stuff_156_15() -> ClassTable:
    """Return the 171 classes of COCO-Stuff 2017: 156 seen, then 15 unseen, each by ascending id; index = train id."""
    names = _read(THINGS) | _read(STUFF)
    seen = tuple(coco_id for coco_id in names if coco_id not in STUFF_UNSEEN_15)
    return _table("coco-stuff-156-15", names, seen + STUFF_UNSEEN_15, STUFF_UNSEEN_15)


@functools.cache
def coco_instances_48_17() -> ClassTable:
    """Return the 65 things of ZSI's smaller split of COCO 2014: 48 seen, then 17 unseen, in ZSI's order."""
    order = INSTANCES_SEEN_48 + INSTANCES_UNSEEN_17
    return _table("coco-instances-48-17", _read(THINGS), order, INSTANCES_UNSEEN_17)


@functools.cache
def coco_instances_65_15() -> ClassTable:
    """Return the 80 things of ZSI's larger split of COCO 2014: 65 seen, then 15 unseen, each by ascending id."""
    names = _read(THINGS)
    seen = tuple(coco_id for coco_id in names if coco_id not in INSTANCES_UNSEEN_15)
    return _table("coco-instances-65-15", names, seen + INSTANCES_UNSEEN_15, INSTANCES_UNSEEN_15)


def _table(name: str, names: dict[int, str], order: tuple[int, ...], unseen: tuple[int, ...]) -> ClassTable:
    return ClassTable(
        name=name,
        names=tuple(names[coco_id] for coco_id in order),
        coco_ids=order,
        is_thing=tuple(coco_id <= LAST_THING_ID for coco_id in order),
        is_seen=tuple(coco_id not in unseen for coco_id in order),
    )


def _read(table: str) -> dict[int, str]:
    """Return {COCO id: name} in the order of the text."""
    entries = (entry.split(maxsplit=1) for entry in table.replace("\n", " ").split(","))
    return {int(coco_id): name.strip() for coco_id, name in entries}
