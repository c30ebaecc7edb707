"""What is printed of dasNet: the errors pass by pass, counted by hand."""

import json
from functools import partial

import pytest
import torch
from gated import hooked, image_set, images
from torch import Tensor

from glimpse.agents import Dasnet, DasnetConfig, mean_one
from glimpse.batches import swept
from glimpse.cli import dasnet_report
from glimpse.cli.dasnet_report import Passes, evaluate_passes, print_passes
from glimpse.evaluation import ErrorRate

PASSES = 2


def make(scale: float = 1.0, policy: str = "linear") -> Dasnet:
    config = DasnetConfig(passes=PASSES, policy=policy)  # type: ignore[arg-type]
    net = Dasnet.create(config, hooked(), images(20))
    draw = torch.Generator().manual_seed(4)
    return net.with_weights(scale * torch.randn(net.weights.shape, generator=draw))


def test_errors_and_changes_are_those_of_every_image() -> None:
    net, shown = make(3.0), image_set()
    passes = evaluate_passes(net, shown, "train")
    (batch,) = swept(shown, "train", 100)
    answers = net.answers(batch.images, PASSES + 2).argmax(dim=2)
    wrong = (answers != batch.target[:, None]).tolist()
    assert passes.learned == tuple(
        ErrorRate(sum(row[number] for row in wrong), 24) for number in range(PASSES + 3)
    )
    mended = sum(row[0] and not row[PASSES] for row in wrong)
    spoilt = sum(row[PASSES] and not row[0] for row in wrong)
    assert (passes.mended, passes.spoilt, passes.trained) == (mended, spoilt, PASSES)
    assert mended + spoilt > 0
    assert passes.learned[PASSES].wrong - passes.learned[0].wrong == spoilt - mended


def test_gains_at_random_spread_as_those_of_the_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    net, shown, given = make(0.1), image_set(), []
    look_again = dasnet_report.look_again

    def spy(network: object, pixels: Tensor, choose: object, *rest: int) -> Tensor:
        def noted(seen: object) -> Tensor:
            given.append(choose(seen))  # type: ignore[operator]
            return given[-1]

        return look_again(network, pixels, noted, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(dasnet_report, "look_again", spy)
    passes = evaluate_passes(net, shown, "train")
    gains = torch.stack(given)
    torch.testing.assert_close(gains.mean(dim=-1), torch.ones(gains.shape[:-1]))
    wanted = net.predict(shown.images[:24]).gains.log().std()
    spread = (gains.log() - gains.log().mean(dim=-1, keepdim=True)).std()
    assert float(spread) == pytest.approx(float(wanted), rel=0.15)
    assert len(given) == PASSES + 2
    assert not torch.equal(given[0], given[1])
    assert passes.random[0] == passes.learned[0]
    assert passes.random != passes.learned


def test_a_seed_is_a_report() -> None:
    net, shown = make(3.0), image_set()
    reports = [evaluate_passes(net, shown, "train", seed=seed) for seed in (0, 0, 1)]
    assert reports[0] == reports[1]
    assert reports[0].random != reports[2].random
    assert reports[0].learned == reports[2].learned


def test_gains_of_one_are_compared_with_themselves() -> None:
    passes = evaluate_passes(make(0.0), image_set(), "test")
    assert passes.learned == passes.random == (passes.learned[0],) * (PASSES + 3)
    assert (passes.mended, passes.spoilt) == (0, 0)


def test_gains_of_zero_leave_numbers_to_compare_with(monkeypatch: pytest.MonkeyPatch) -> None:
    """A policy far out mutes maps altogether."""
    net, given = make(1000.0), []
    assert (net.predict(images()).gains == 0).any()
    monkeypatch.setattr(
        dasnet_report, "mean_one", lambda scores: given.append(scores) or mean_one(scores)
    )
    evaluate_passes(net, image_set(), "test")
    assert torch.stack(given).isfinite().all()


def test_it_is_printed_and_written_alike(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    rate = partial(ErrorRate, count=2000)
    passes = Passes(
        (rate(700), rate(600), rate(500)), (rate(700), rate(800), rate(900)), 230, 130, 1
    )
    print_passes(passes, "test")
    out = capsys.readouterr().out
    assert "error on 2,000 test images" in out
    rows = [line.split("│")[1:4] for line in out.splitlines() if line.startswith("│")]
    assert [cell.split()[0] for row in rows for cell in row] == (
        ["0", "35.00", "35.00", "1", "30.00", "40.00", "2", "25.00", "45.00"]
    )
    assert "(gains one)" in rows[0][0]
    assert "(trained)" in rows[1][0]
    assert "wrong to right 230, right to wrong 130 of 2,000 images\n" in out
    assert out.endswith("test error: 30.00 %\n")
    written = json.loads(json.dumps(passes.to_json("test")))
    assert (written["split"], written["images"]) == ("test", 2000)
    assert (written["mended"], written["spoilt"]) == (230, 130)
    assert [row["pass"] for row in written["passes"]] == [0, 1, 2]
    assert [row["error"] for row in written["passes"]] == [35, 30, 25]
    assert [row["random gains"] for row in written["passes"]] == [35, 40, 45]
    low, high = written["passes"][1]["interval"]
    assert 27 < low < 30 < high < 33
