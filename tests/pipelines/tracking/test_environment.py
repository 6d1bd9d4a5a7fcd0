"""What is logged of the environment."""

import json

import pytest

from pipelines.tracking import environment
from pipelines.workspaces.workspace import Workspace


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
