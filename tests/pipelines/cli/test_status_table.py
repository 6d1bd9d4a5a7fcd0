"""`status` of a model with more types than fit beside each other."""

import pytest

from pipelines.cli import status_table

ROW = {
    "version": "1",
    "f1": 0.9,
    "cuda_validated": True,
    "test_sha256": "",
    "commit": "",
    "promoted_when": "",
    "promoted_who": "",
    "gates": {},
}


@pytest.mark.parametrize(("count", "shown"), [(10, True), (11, False)])
def test_columns_of_types(capsys, count, shown):
    row = ROW | {"type_f1": {f"T{number:02}": 0.5 for number in range(count)}}
    status_table.show_status("msra-ner", {"champion": row})
    printed = capsys.readouterr().out
    assert "0.9000" in printed
    assert ("T00" in printed, "T09" in printed) == (shown, shown)
    assert max(map(len, printed.splitlines())) <= 240
