"""What the commands do with the run of a base."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from command import refused_line, type_in
from PIL import Image

from glimpse.agents import load
from glimpse.bases import find_network
from glimpse.catalogue import find_images
from glimpse.cli import main

pytestmark = pytest.mark.usefixtures("elsewhere")
TRAIN = ["train", "base", "--steps", "12", "--batch", "32"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run, to be read only."""
    folder = tmp_path_factory.mktemp("base") / "run"
    assert main([*TRAIN, "--run", str(folder)]) == 0
    return folder


def _digit(number: int) -> Path:
    """Return a file with one of the digits."""
    pixels = find_images("digits").draw(*[torch.tensor([number])] * 2)
    path = Path(f"{number}.png")
    Image.fromarray(pixels[0, 0].numpy()).save(path)
    return path


def test_evaluate_repeats_what_train_printed(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = type_in(capsys, "evaluate", trained)
    error = json.loads((trained / "evaluation.json").read_text())["error"]
    assert result.out.startswith(f"test error of the base: {error:.2f} % [")
    assert result.out.endswith("of 360 images\n")
    other = type_in(capsys, "evaluate", trained, "--split", "validation").out
    assert other.startswith("validation error of the base: ")
    assert "180 images" in other


def test_predict_says_what_the_network_says(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = type_in(capsys, "predict", trained, _digit(3), _digit(8))
    assert result.code == 0
    images, network = find_images("digits"), find_network(trained).network
    index = torch.tensor([3, 8])
    with torch.no_grad():
        sure, best = network(images.draw(index, index) / 255).softmax(dim=1).max(dim=1)
    assert result.out.splitlines() == [
        f"{number}.png: {int(b)} ({100 * float(s):.1f} %)"
        for number, s, b in zip((3, 8), sure, best, strict=True)
    ]


def test_a_larger_picture_in_colours_is_made_to_fit(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (90, 50), (200, 30, 30)).save("photo.png")
    assert type_in(capsys, "predict", trained, "photo.png").code == 0


def test_classes_are_called_by_their_names(capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(40):
        kind = "cat" if number % 2 else "dog"
        place = Path("photos") / kind / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (16, 12), 5 * number).save(place)
    words = ["--images", "photos", "--steps", "2", "--batch", "8", "--run", "mine"]
    assert type_in(capsys, "train", "base", *words).code == 0
    assert find_network("mine").classes == ("cat", "dog")
    photo = Path("photos/cat/1.png").rename("photo.png")
    shutil.rmtree("photos")  # what it was trained on may be gone
    assert type_in(capsys, "predict", "mine", photo).out.split()[1] in ("cat", "dog")
    assert "`images` must be the path" in refused_line(capsys, "evaluate", "mine")


@pytest.mark.plain
@pytest.mark.parametrize("names", [["cat"], "cat", 3])
def test_names_that_are_not_those_of_the_classes_are_refused(
    names: object, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(trained, Path("run"))
    description = json.loads((run / "agent.json").read_text())
    (run / "agent.json").write_text(json.dumps({**description, "classes": names}))
    assert "agent.json must describe a base" in refused_line(capsys, "predict", run, _digit(3))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["watch", "RUN"], "what is watched must look more than once, got "),
        (["predict", "RUN", "3.png", "--out", "a.png"], "`--out` must be left out for a base, got"),
        (["predict", "RUN", "none.png"], "none.png must be a readable image"),
        (["evaluate", "RUN", "--split", "all"], "`split` must be one of test, train, validation"),
        (["evaluate", "RUN", "--seed", "-1"], "`seed` must be in [0, 2**63), got -1"),
        (["evaluate", "RUN", "--device", "gpu"], "`device` must be auto"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_earns_one_line(
    words: list[str], message: str, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _digit(3)
    line = refused_line(capsys, *(word.replace("RUN", str(trained)) for word in words))
    assert message in line
    assert [path.name for path in Path().iterdir()] == ["3.png"]


def test_load_says_who_reads_it(trained: Path) -> None:
    with pytest.raises(
        ValueError, match=r"got one of base: read it with glimpse\.bases\.find_netw"
    ):
        load(trained)
