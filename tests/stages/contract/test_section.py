import re

import pytest

from stages.contract.errors import StageError
from stages.contract.section import expanded, read
from stages.params.align import Align
from stages.params.download import Download
from stages.params.params import Params
from stages.params.train import Train
from tests.stages.conftest import REAL

RATE = "\n  learning_rate: 0.0002\n"  # train's own
WRONG = {
    "nan": (".nan", "Input should be a finite number (it is nan)"),
    "infinite": (".inf", "Input should be a finite number (it is inf)"),
    "null": ("null", "Input should be a valid number (it is None)"),
    "text": ("low", "Input should be a valid number (it is 'low')"),
    "boolean": ("yes", "Input should be a valid number (it is True)"),
    "zero": ("0", "Input should be greater than 0 (it is 0)"),
    "YAML's number without a dot": (
        "5e-5",
        "Input should be a valid number (it is '5e-5', a string in YAML: write 5.0e-5 for 5e-5)",
    ),
}


@pytest.mark.parametrize(("value", "said"), WRONG.values(), ids=WRONG)
def test_no_number(refused, value, said):
    assert refused(Train, (RATE, RATE.replace("0.0002", value))) == f"train.learning_rate: {said}"


@pytest.mark.parametrize("value", ["5.0e-5", "1", "0.00005"])
def test_a_number(tmp_path, value):
    (tmp_path / "p").write_text(REAL.replace(RATE, RATE.replace("0.0002", value)), encoding="utf-8")
    assert read(Train, tmp_path / "p").learning_rate == float(value)


def test_a_date_is_text(tmp_path, refused):
    (tmp_path / "p").write_text(re.sub("licence: .*", "licence: 2006-07-22", REAL), "utf-8")
    assert read(Download, tmp_path / "p").licence == "2006-07-22"
    said = "align.seed: Input should be a valid integer (it is '2006-07-22')"
    assert refused(Align, ("seed: 13", "seed: 2006-07-22")) == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, " not found: run in the folder that contains it"),
        ("", " has no section align"),
        ("train: {}", " has no section align"),
        ("- align", " has no section align"),
        ("align:", ": line 1: align: Input should be an object (it is None)"),
        ("align: [", " is not YAML: while parsing a flow node expected the node content, but"),
        ("align: {seed: '\udcff'}", " is not YAML: 'utf-8' codec can't decode byte 0xff"),
    ],
)
def test_no_file_no_section(tmp_path, text, said):
    file = tmp_path / "params.yaml"
    if text is not None:
        file.write_text(text, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(StageError, match=re.escape(f"{file}{said}")) as error:
        read(Align, file)
    assert "\n" not in str(error.value)


def test_each_error_has_its_line(tmp_path):
    file = tmp_path / "params.yaml"
    lines = REAL.splitlines()
    [types] = (n for n, line in enumerate(lines) if line.startswith("  types: ["))
    lines[types] = "  types: [PER,\n    4]"
    lines[lines.index("  seed: 13")] = "  seed: 1.5"
    lines.remove("  repair_test_tags: false")
    file.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(StageError) as error:
        read(Params, file, whole=True)
    text = file.read_text(encoding="utf-8").splitlines()
    assert str(error.value).removeprefix(f"{file}: ").split("; ") == [
        f"line {text.index('    4]') + 1}: align.types.1: Input should be a valid string (it is 4)",
        f"line {text.index('  seed: 1.5') + 1}: align.seed: Input should be a valid integer"
        " (it is 1.5)",
        f"line {text.index('align:') + 1}: align.repair_test_tags: Field required",
    ]


def test_expanded(monkeypatch):
    monkeypatch.setenv("NER_DATA", "some where")
    assert expanded("plain/path") == "plain/path"
    assert expanded("$NER_DATA/a") == expanded("${NER_DATA}/a") == "some where/a"
    monkeypatch.setenv("NER_DATA", "pa$sword")
    assert expanded("$NER_DATA/$") == "pa$sword/$"
    monkeypatch.delenv("NER_DATA")
    for path in ("$NER_DATA/a", "a/${NER_DATA}"):
        with pytest.raises(StageError, match=re.escape(f"{path}: that environment variable is")):
            expanded(path)
