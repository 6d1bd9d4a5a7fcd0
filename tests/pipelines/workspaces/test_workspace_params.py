"""Overlays over params.yaml: merged in turn, checked before anything runs."""

from pathlib import Path

import pytest
import yaml

from pipelines.errors import PipelineError
from pipelines.workspaces import overlays, workspace


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
        (
            "train: {learning_rat: 1}",
            "line 1: train.learning_rat: there is no such key, did you mean learning_rate?",
        ),
        ("\ntrian: {seed: 1}", "line 2: trian: there is no such key, did you mean train?"),
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
    assert list((project / ".runs").iterdir()) == []


def test_a_missing_overlay_is_named(project: Path) -> None:
    looked = f"No such file or directory: {Path.cwd()}/none.yaml"
    with pytest.raises(PipelineError, match=f"^none.yaml: {looked}$"):
        workspace.create(project, [Path("none.yaml")], dirty=False)


def test_all_sections_and_layers_are_checked_at_once_each_key_with_its_line(
    project: Path, tmp_path: Path
) -> None:
    params = project / "params.yaml"
    params.write_text(params.read_text().replace("\n  epochs: 10\n", "\n  epochs: 0\n"))
    line = params.read_text().splitlines().index("  epochs: 0") + 1
    first = overlay(tmp_path, "train:\n  seed: x\npromote: {f1_min: 3}", "1.yaml")
    second = overlay(tmp_path, "\nrun:\n  keep: 1\n  keep_workspaces: null", "2.yaml")
    with pytest.raises(PipelineError) as raised:
        overlays.sections(project, [first, second])
    assert str(raised.value).removeprefix(f"params.yaml with {first} with {second}: ").split(
        "; "
    ) == [
        f"{first} line 2: train.seed: Input should be a valid integer (it is 'x')",
        f"params.yaml line {line}: train.epochs: Input should be greater than 0 (it is 0)",
        f"{first} line 3: promote.f1_min: Input should be less than or equal to 1 (it is 3)",
        f"{second} line 4: run.keep_workspaces: Input should be a valid integer (it is None)",
        f"{second} line 3: run.keep: there is no such key (it is 1)",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "export: {precision: int8, require_cuda: false}",
            r"promote\.require_cuda would refuse every version",
        ),
        (
            "evaluate: {slices: {dishes: {type: DISH}}}",
            r"evaluate\.slices\.dishes\.type is DISH, which align\.types lacks",
        ),
    ],
)
def test_sections_that_exclude_each_other(project: Path, tmp_path: Path, text, said) -> None:
    wrong = overlay(tmp_path, text)
    with pytest.raises(PipelineError, match=said):
        overlays.sections(project, [wrong])
