"""What the commands do with the run of dasNet, and the pictures they draw."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from command import refused_line, type_in
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from glimpse.agents import Dasnet, load, load_dasnet
from glimpse.batches import as_floats
from glimpse.catalogue import find_images
from glimpse.cli import main
from glimpse.cli.dasnet_runs import draw_policy
from glimpse.gain_map import Gains

pytestmark = pytest.mark.usefixtures("elsewhere")
BASE = ["train", "base", "--steps", "15", "--batch", "32", "--train_images", "600"]
TRAIN = ["train", "dasnet", "--passes", "2", "--boost", "1"]
QUICK = ["--population", "2", "--batch", "8", "--steps", "100"]
# With this seed the policy is better than none on validation images, so it is the one kept.
KEPT = ["--population", "20", "--std", "0.03", "--steps", "6", "--seed", "2"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run whose base has gone since, to be read only."""
    place = tmp_path_factory.mktemp("dasnet")
    assert main([*BASE, "--run", str(place / "base")]) == 0
    assert main([*TRAIN, *KEPT, "--base", str(place / "base"), "--run", str(place / "run")]) == 0
    shutil.rmtree(place / "base")
    return place / "run"


def _pixels(*numbers: int) -> torch.Tensor:
    index = torch.tensor(numbers)
    return find_images("digits").draw(index, index)


def _digit(number: int) -> Path:
    path = Path(f"{number}.png")
    Image.fromarray(_pixels(number)[0, 0].numpy()).save(path)
    return path


def test_evaluate_repeats_what_train_wrote(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = type_in(capsys, "evaluate", trained)
    assert result.code == 0
    written = json.loads((trained / "evaluation.json").read_text())
    lines = result.out.splitlines()
    assert "error on 360 test images" in lines[0]
    assert lines[-1] == f"test error: {written['passes'][2]['error']:.2f} %"
    changed = f"wrong to right {written['mended']}, right to wrong {written['spoilt']} of 360"
    assert lines[-2].startswith(changed)
    assert written["mended"] + written["spoilt"] > 0
    for row in written["passes"]:
        assert any(f"{row['error']:5.2f} [" in line for line in lines)


def test_evaluate_takes_a_split_and_a_seed(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["evaluate", trained, "--split", "validation"]
    first = type_in(capsys, *words).out
    assert "180 validation images" in first
    assert type_in(capsys, *words).out == first
    other = type_in(capsys, *words, "--seed", "1").out
    assert other != first  # random gains
    assert other.splitlines()[-2:] == first.splitlines()[-2:]


def test_watch_draws_gains_and_changes(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = shutil.copytree(trained, Path("run"))
    result = type_in(capsys, "watch", run, "--count", "1")
    assert result.code == 0
    written = json.loads((run / "evaluation.json").read_text())
    assert result.out.splitlines() == [
        "gains: run/gains.png",
        "changed answers: run/changes.png",
        f"wrong to right {written['mended']}, right to wrong {written['spoilt']} of 360 images",
    ]
    for name in ("gains", "changes"):
        with Image.open(run / f"{name}.png") as picture:
            assert (picture.format, picture.mode) == ("PNG", "RGB")


def test_watch_draws_into_another_folder_and_the_same_again(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(path.name for path in trained.iterdir())
    for words in (["--out", "here"], ["--out", "there/it/is"], ["--out", "x", "--split", "train"]):
        assert type_in(capsys, "watch", trained, *words).code == 0
    assert sorted(path.name for path in trained.iterdir()) == before
    for name in ("gains.png", "changes.png"):
        here, there, other = (Path(place) / name for place in ("here", "there/it/is", "x"))
        assert here.read_bytes() == there.read_bytes()
        assert here.read_bytes() != other.read_bytes()


def test_predict_says_the_answer_after_each_pass(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = type_in(capsys, "predict", trained, _digit(3), _digit(8), "--out", "answers.png")
    assert result.code == 0
    lines = iter(result.out.splitlines())
    for number in (3, 8):
        (probabilities,) = load_dasnet(trained).predict(_pixels(number)).probabilities
        sure, best = probabilities.max(dim=1)
        said = [f"{int(b)} ({100 * float(s):.1f} %)" for b, s in zip(best, sure, strict=True)]
        assert next(lines) == f"{number}.png: {said[-1]}"
        for pass_, answer in enumerate(said):
            assert next(lines) == f"  pass {pass_}: {answer}"
    assert list(lines) == ["drawn: answers.png"]
    with Image.open("answers.png") as page:
        assert page.width > 400


def test_many_images_are_predicted_in_parts(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net, pixels = load_dasnet(trained), _pixels(*range(10))
    whole, sizes = net.predict(pixels), []
    look = net.network.prepare

    def prepare(images: torch.Tensor) -> object:
        sizes.append(len(images))
        return look(images)

    monkeypatch.setattr(net.network, "prepare", prepare)
    monkeypatch.setattr(net.network, "chunk", lambda images, population: 4)
    parts = net.predict(pixels)
    assert sizes == [4, 4, 2]
    for one, other in zip(parts, whole, strict=True):
        torch.testing.assert_close(one, other)
    answers = net.answers(as_floats(pixels)).exp()
    torch.testing.assert_close(whole.probabilities, answers)


def test_tensorboard_gets_a_picture_of_the_gains(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert type_in(capsys, *BASE, "--run", "base").code == 0
    assert type_in(capsys, *TRAIN, *QUICK, "--base", "base", "--run", "mine").code == 0
    events = EventAccumulator("mine")
    events.Reload()
    assert events.Tags()["images"] == ["gains"]
    assert [image.step for image in events.Images("gains")] == [100]


@pytest.mark.parametrize("passes", [1, 2])
def test_the_picture_tells_of_its_passes(
    passes: int, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = load_dasnet(trained)
    config = type(found.config)(passes=passes)
    net = Dasnet(config, found.network, found.standard, found.weights)
    titles: list[str] = []

    def draw(gains: Gains, layers: dict[str, int], title: str) -> Image.Image:
        titles.append(title)
        return Image.new("RGB", (1, 1))

    monkeypatch.setattr("glimpse.cli.dasnet_runs.gain_sheet", draw)
    draw_policy(net, find_images("digits"), "validation")
    which = "pass 1" if passes == 1 else "passes 1 to 2"
    assert titles == [f"gains of all maps in {which}, on 180 validation images"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["watch", "RUN", "--count", "0"], "`count` must be a whole number from 1, got 0"),
        (["watch", "RUN", "--split", "all"], "`split` must be one of test, train, validation"),
        (["evaluate", "RUN", "--seed", "-1"], "`seed` must be in [0, 2**63), got -1"),
        (["evaluate", "RUN", "--device", "gpu"], "`device` must be auto"),
        (["predict", "RUN", "none.png"], "none.png must be a readable image"),
        (["evaluate", "RUN/base", "--split", "all"], "`split` must be one of"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_earns_one_line(
    words: list[str], message: str, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refused_line(capsys, *(word.replace("RUN", str(trained)) for word in words))
    assert message in line
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("name", ["agent.json", "weights.safetensors", "config.yaml"])
@pytest.mark.parametrize("command", ["evaluate", "watch"])
def test_a_missing_file_is_named(
    name: str, command: str, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(trained, Path("run"))
    (run / name).unlink()
    assert f"run/{name} must be there" in refused_line(capsys, command, run)


def test_a_run_whose_base_is_registered_nowhere_is_refused(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(trained, Path("run"))
    shutil.rmtree(run / "base")
    line = refused_line(capsys, "evaluate", run)
    assert "`base` must be the folder of a base's run or a registered name" in line


def test_load_says_who_reads_it(trained: Path) -> None:
    with pytest.raises(
        ValueError, match=r"got one of dasnet: read it with glimpse\.agents\.load_d"
    ):
        load(trained)
