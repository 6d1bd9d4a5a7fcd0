"""What is logged of the data."""

from pathlib import Path

import yaml

from pipelines import surroundings


def test_a_source_json_goes_with_its_data_and_later_outs_are_none(tmp_path: Path) -> None:
    out = {"path": "data/msra", "md5": "0" * 32 + ".dir"}
    later = {"deps": [{"path": "data/msra/train.txt"}], "outs": [{"path": "data/x", "md5": "1"}]}
    lock = {"stages": {"a": {"deps": [{"path": "code.py"}], "outs": [out]}, "b": later}}
    (tmp_path / "dvc.lock").write_text(yaml.safe_dump(lock))
    (tmp_path / "data" / "msra").mkdir(parents=True)
    (tmp_path / "data" / "msra" / "source.json").write_text('{"licence": "research"}')
    [found] = surroundings.datasets(tmp_path, None)
    assert (found.dataset.name, found.dataset.digest) == ("data/msra", out["md5"])
    assert found.dataset.profile == '{"licence": "research"}'
