"""Labels beside the points of a plot that lie neither on each other nor on a point, the same for the same points."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.text import Annotation

from analysis.figures import DARK, SMALL

# Lengths are in points, 1/72 inch.
DISTANCES = np.geomspace(1.5, 110, 20)  # from a marker, that are tried
DIRECTIONS = 24
PAD = 0.7  # around a label, that stays free
LEADER = 4.0  # a label further away from its marker is joined to it by a line
NEAR = 25.0  # within which others make a place crowded
AVOIDED = 6.0  # further away that a label goes to lie on nothing it should avoid
ATTEMPTS = 8  # orders of the labels that are tried, where some find no room


def place_labels(
    axes: Axes,
    places: np.ndarray,
    texts: Sequence[str],
    radii: np.ndarray,
    *,
    avoid: Sequence[np.ndarray] = (),
) -> list[Annotation]:
    """Write `texts` beside the points `places` (n, 2), in data coordinates; returns those of them that found room.

    radii: of the markers of the points, (n,), in points. avoid: lines, each (m, 2), and single points (1, 2) that
    labels keep off where they can. The layout of the figure is settled by this: whatever else has
    room in it has to be there before. Greedy: the labels of the most crowded points first, each at the nearest of a
    fixed set of places around its point that is free; once more with those first that found no room.
    """
    made = axes.figure
    assert isinstance(made, Figure)
    made.draw_without_rendering()
    made.set_layout_engine("none")
    unit = made.dpi / 72
    halo = [withStroke(linewidth=1.2, foreground="white")]
    notes = [
        axes.annotate(text, place, (0, 0), textcoords="offset points", fontsize=SMALL, zorder=5, path_effects=halo)
        for text, place in zip(texts, places, strict=True)
    ]
    boxes = [note.get_window_extent() for note in notes]
    points = axes.transData.transform(places.reshape(-1, 2)) / unit
    avoided = (
        np.concatenate([_sampled(axes.transData.transform(line) / unit) for line in avoid])
        if avoid
        else np.empty((0, 2))
    )
    sizes = np.array([[box.width, box.height] for box in boxes]) / unit
    corners, leaders = _arranged(points, radii, sizes, avoided, np.array(axes.bbox.extents) / unit)
    for index, note in enumerate(notes):
        note.set_in_layout(False)
        if index in corners:
            # The text's origin is on its baseline; its box begins below and beside.
            origin = points[index] - np.array([boxes[index].x0, boxes[index].y0]) / unit
            note.set_position(tuple(corners[index] - points[index] + origin))
        else:
            note.remove()
    for leader in leaders:
        ends = axes.transData.inverted().transform(leader * unit)
        axes.plot(*ends.T, color=DARK, linewidth=0.4, zorder=1.5, scalex=False, scaley=False)
    return [note for index, note in enumerate(notes) if index in corners]


def _arranged(
    points: np.ndarray, radii: np.ndarray, sizes: np.ndarray, avoided: np.ndarray, frame: np.ndarray
) -> tuple[dict[int, np.ndarray], list[np.ndarray]]:
    """Lower left corners by index, and leaders (2, 2), of the first order in which most labels find room."""
    crowded = (np.hypot(*(points[:, None] - points[None]).transpose(2, 0, 1)) < NEAR).sum(axis=1)
    order = sorted(range(len(points)), key=lambda i: (-crowded[i], *points[i], i))
    best = _Room(points, radii, avoided, frame)
    for _ in range(ATTEMPTS):
        room = _Room(points, radii, avoided, frame)
        homeless = [index for index in order if not room.take(index, sizes[index])]
        if len(room.boxes) > len(best.boxes):
            best = room
        if not homeless:
            break
        order = homeless + [index for index in order if index not in homeless]
    for index in [*best.boxes, *best.boxes]:  # nearer, where others have left room meanwhile
        best.leave(index)
        best.take(index, sizes[index])
    return {index: box[:2] + PAD for index, box in best.boxes.items()}, list(best.leaders.values())


class _Room:
    """What is free of a plot, in points."""

    def __init__(self, points: np.ndarray, radii: np.ndarray, avoided: np.ndarray, frame: np.ndarray) -> None:
        self._points, self._radii, self._avoided, self._frame = points, radii, avoided, frame
        self.boxes: dict[int, np.ndarray] = {}  # x0, y0, x1, y1 of each label with its pad
        self.leaders: dict[int, np.ndarray] = {}
        angles = np.arange(DIRECTIONS) * 2 * np.pi / DIRECTIONS
        self._directions = np.column_stack([np.cos(angles), np.sin(angles)])

    def take(self, index: int, size: np.ndarray) -> bool:
        """Whether there was a place for a label of `size` (width, height) at a point; it is taken then."""
        point, radius = self._points[index], self._radii[index]
        found: list[tuple[float, np.ndarray, np.ndarray]] = []
        for distance in DISTANCES:
            if found and distance >= min(found, key=lambda place: place[0])[0]:
                break
            for direction in self._directions:
                centre = point + direction * (radius + distance + size / 2)
                box = np.concatenate([centre - size / 2 - PAD, centre + size / 2 + PAD])
                leader = np.array([point, np.clip(point, box[:2], box[2:])])
                if self._is_free(index, box, leader):
                    away = float(np.hypot(*(leader[1] - point))) - radius
                    found.append((away + AVOIDED * bool(_inside(self._avoided, box).any()), box, leader))
        if not found:
            return False
        _, self.boxes[index], leader = min(found, key=lambda place: place[0])
        if np.hypot(*(leader[1] - point)) > radius + LEADER:
            self.leaders[index] = leader
        return True

    def leave(self, index: int) -> None:
        """Give back the place of a label."""
        del self.boxes[index]
        self.leaders.pop(index, None)

    def _is_free(self, index: int, box: np.ndarray, leader: np.ndarray) -> bool:
        """Whether a label is within the frame and on no marker, label or leader, and its leader on no other of them."""
        if (box[:2] < self._frame[:2]).any() or (box[2:] > self._frame[2:]).any():
            return False
        nearest = np.clip(self._points, box[:2], box[2:])
        if (np.hypot(*(nearest - self._points).T) < self._radii).any():
            return False
        if any(((box[:2] < other[2:]) & (other[:2] < box[2:])).all() for other in self.boxes.values()):
            return False
        if any(_inside(_sampled(other), box).any() for other in self.leaders.values()):
            return False
        way = _sampled(leader)
        if any(_inside(way, other).any() for other in self.boxes.values()):
            return False
        # Markers that lie on its own cannot be kept off.
        apart = np.hypot(*(self._points - self._points[index]).T) > self._radii + self._radii[index]
        reach = np.hypot(*(self._points[:, None] - way[None]).transpose(2, 0, 1)).min(axis=1)
        return not (apart & (reach < self._radii)).any()


def _inside(points: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Which of points (n, 2) lie in a box of x0, y0, x1, y1; shape (n,)."""
    return np.asarray(((points > box[:2]) & (points < box[2:])).all(axis=1))


def _sampled(line: np.ndarray) -> np.ndarray:
    """Points on a broken line (m, 2), so close that no label fits between two."""
    parts = [np.linspace(a, b, 2 + int(np.hypot(*(b - a)))) for a, b in pairwise(line)]
    return np.concatenate([line[:1], *parts])
