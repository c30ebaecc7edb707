"""Where eyes look, by hand."""

import torch
from torch import Tensor

from glimpse.eye import Eye
from glimpse.fixations import Fixations
from glimpse.sensor import GlimpseSensor

CPU = torch.device("cpu")
EVERYBODY = slice(None)


def _eye(**options: object) -> Eye:
    known: dict[str, object] = {"sensor": GlimpseSensor(2), "glimpses": 3, "first": "centre"}
    return Eye(**(known | options))  # type: ignore[arg-type]


def _begun(eye: Eye, first: Tensor | None = None) -> Fixations:
    eyes = Fixations(eye, 2, CPU)
    eyes.begin(EVERYBODY, first)
    return eyes


def test_an_episode_begins_in_the_centre_or_where_it_is_told() -> None:
    eyes = _begun(_eye())
    assert eyes.location.tolist() == [[0, 0], [0, 0]]
    assert eyes.count.tolist() == [1, 1]
    eyes = _begun(_eye(), torch.tensor([[0.5, -1], [0.25, 0]]))
    assert eyes.trail[:, 0].tolist() == [[0.5, -1], [0.25, 0]]
    assert bool(eyes.trail[:, 1:].isnan().all())


def test_who_chooses_the_first_glimpse_has_had_none() -> None:
    eyes = _begun(_eye(first="agent"))
    assert eyes.count.tolist() == [0, 0]
    assert bool(eyes.trail.isnan().all())


def test_only_those_who_look_move() -> None:
    eyes = _begun(_eye())
    eyes.move(torch.tensor([[0.5, 0.25], [1, 1]]), torch.tensor([True, False]), None)
    assert eyes.location.tolist() == [[0.5, 0.25], [0, 0]]
    assert eyes.count.tolist() == [2, 1]
    assert eyes.trail[0, 1].tolist() == [0.5, 0.25]
    assert bool(eyes.trail[1, 1].isnan().all())


def test_a_stride_is_added_and_ends_at_the_edge() -> None:
    eyes, both = _begun(_eye()), torch.tensor([True, True])
    for _ in range(2):
        eyes.move(torch.tensor([[0.5, 1], [-1, 0]]), both, torch.tensor([0.5, 0.75]))
    assert eyes.location.tolist() == [[0.5, 1], [-1, 0]]
    assert eyes.trail[0, 1].tolist() == [0.25, 0.75]


def test_levels_of_zoom_share_the_range_evenly() -> None:
    eyes, both = _begun(_eye(zoom=4)), torch.tensor([True, True])
    assert eyes.level.tolist() == [2, 2]
    eyes.move(torch.tensor([[0.0, 0, -1], [0, 0, -0.4]]), both, None)
    eyes.move(torch.tensor([[0.0, 0, 0.1], [0, 0, 1]]), both, None)
    assert eyes.levels.tolist() == [[2, 0, 2], [2, 1, 3]]


def test_some_rows_begin_anew() -> None:
    eyes = _begun(_eye(), torch.tensor([[0.5, 0.5], [0.25, 0.25]]))
    eyes.move(torch.ones(2, 2), torch.tensor([True, True]), None)
    eyes.begin(torch.tensor([1]), None)
    assert eyes.location.tolist() == [[1, 1], [0, 0]]
    assert eyes.count.tolist() == [2, 1]
