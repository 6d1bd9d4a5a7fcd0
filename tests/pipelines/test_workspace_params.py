"""Overlays over params.yaml: merged in turn, checked before anything runs."""

from pathlib import Path

import pytest
import yaml

from pipelines import workspace
from pipelines.errors import PipelineError


def overlay(folder: Path, text: str, name: str = "overlay.yaml") -> Path:
    (folder / name).write_text(text)
    return folder / name


def test_overlays_are_merged_in_turn(project: Path, tmp_path: Path) -> None:
    first = overlay(tmp_path, "train: {seed: 1, epochs: 9}\nalign: {types: [PER]}", "1.yaml")
    second = overlay(tmp_path, "train: {seed: 2}", "2.yaml")
    made = workspace.create(project, [first, second], dirty=False)
    merged = yaml.safe_load((made.path / "params.yaml").read_text())
    expected = yaml.safe_load((project / "params.yaml").read_text())
    expected["train"] |= {"seed": 2, "epochs": 9}
    expected["align"]["types"] = ["PER"]
    assert merged == expected
    assert made.params_sha256 != workspace.create(project, [first], dirty=False).params_sha256


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("train: {learning_rat: 1}", "train.learning_rat"),
        ("trian: {seed: 1}", "trian"),
        ("train: {learning_rate: .nan}", "train.learning_rate"),
        ("train: {seed: null}", "train.seed"),
        ("train: [1]", "train"),
        ("[1, 2]", "has no sections"),
        ("a: [", "is not YAML"),
        ("train: {seed: '${nowhere'}", "train.seed"),
    ],
)
def test_a_wrong_overlay_is_refused_before_anything_is_made(
    project: Path, tmp_path: Path, text: str, said: str
) -> None:
    with pytest.raises(PipelineError, match=r"overlay\.yaml") as raised:
        workspace.create(project, [overlay(tmp_path, text)], dirty=False)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)
    assert str(project) not in str(raised.value)
    assert [path.name for path in (project / ".runs").iterdir()] == [workspace.CREATING]


def test_a_missing_overlay_is_named(project: Path) -> None:
    with pytest.raises(PipelineError, match=r"^none\.yaml: No such file"):
        workspace.create(project, [Path("none.yaml")], dirty=False)
