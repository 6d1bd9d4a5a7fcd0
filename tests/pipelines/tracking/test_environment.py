"""What is logged of the data."""

import json
from pathlib import Path

import pytest
import yaml

from pipelines.tracking import environment
from pipelines.workspaces.workspace import Workspace


def test_a_source_json_goes_with_its_data_and_later_outs_are_none(tmp_path: Path) -> None:
    out = {"path": "data/msra", "md5": "0" * 32 + ".dir"}
    later = {"deps": [{"path": "data/msra/train.txt"}], "outs": [{"path": "data/x", "md5": "1"}]}
    lock = {"stages": {"a": {"deps": [{"path": "code.py"}], "outs": [out]}, "b": later}}
    (tmp_path / "dvc.lock").write_text(yaml.safe_dump(lock))
    (tmp_path / "data" / "msra").mkdir(parents=True)
    (tmp_path / "data" / "msra" / "source.json").write_text('{"licence": "research"}')
    [found] = environment.datasets(tmp_path, None)
    assert (found.dataset.name, found.dataset.digest) == ("data/msra", out["md5"])
    assert found.dataset.profile == '{"licence": "research"}'


@pytest.mark.parametrize(
    ("stages", "here", "image"),
    [
        (["sha256:1", "sha256:1"], None, "sha256:1"),
        (["sha256:2", "sha256:1"], "sha256:3", "sha256:1, sha256:2"),
        ([None], None, None),
        ([], "sha256:3", "sha256:3"),
    ],
)
def test_the_image_is_the_one_that_the_stages_ran_in(tmp_path, monkeypatch, stages, here, image):
    monkeypatch.delenv("NER_IMAGE", raising=False)
    if here:
        monkeypatch.setenv("NER_IMAGE", here)
    (tmp_path / ".measured").mkdir()
    for number, measured in enumerate(stages):
        file = tmp_path / ".measured" / f"{number}.json"
        file.write_text(json.dumps({"image": measured} if measured else {"seconds": 1}))
    made = Workspace(tmp_path, "run", "commit", "", "params")
    assert environment.tags(made).get("image") == image
