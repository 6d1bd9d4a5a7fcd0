import re

import pytest
import yaml
from pydantic import ValidationError

from stages.errors import StageError
from stages.params import Align, Download, Evaluate, Export, Params, Train, expanded, read
from tests.conftest import ROOT

SECTIONS = (Download, Align, Train, Evaluate, Export)
REAL = (ROOT / "params.yaml").read_text(encoding="utf-8")


@pytest.fixture
def refused(tmp_path):
    """What is said of the real parameters with `old` replaced by `new`, without the file's name."""

    def refused(section, *changes):
        text = REAL
        for old, new in changes:
            text, count = re.subn(old, new, text, flags=re.MULTILINE)
            assert count == 1, old
        file = tmp_path / "params.yaml"
        file.write_text(text, encoding="utf-8")
        with pytest.raises(StageError) as error:
            read(section, file)
        said = str(error.value)
        assert "\n" not in said
        assert said.startswith(f"{file}: ")
        return said.removeprefix(f"{file}: ")

    return refused


@pytest.mark.parametrize("section", [Params, *SECTIONS])
def test_the_real_ones_are_valid_and_frozen(section, monkeypatch):
    monkeypatch.chdir(ROOT)
    params = read(section)
    key = next(iter(type(params).model_fields))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(params, key, None)
    values = yaml.safe_load(REAL)
    if section is not Params:
        values = values[section.__name__.lower()]
    assert params.model_dump() == values


@pytest.mark.parametrize("section", SECTIONS)
def test_no_key_has_a_default(section, refused):
    values = yaml.safe_load(REAL)[section.__name__.lower()]
    for key in values:
        text = rf"(^{section.__name__.lower()}:\n(?:  .*\n)*?)  {key}:"
        said = refused(section, (text, r"\1  other:"))
        assert f"{section.__name__.lower()}.{key}: Field required" in said


def test_every_error_at_once(refused):
    assert refused(
        Train,
        ("seed: 42", "seed: -1"),
        ("epochs: 5", "epochs: 0"),
        ("device: cuda\n  precision", "device: gpu\n  precision"),
        ("deterministic: true", 'deterministic: "yes"'),
        ("clip_norm: 1.0", "clip_norms: 1.0"),
        ("warmup_fraction: 0.1", "warmup_fraction: 1.5"),
    ).split("; ") == [
        "train.device: Input should be 'auto', 'cpu' or 'cuda' (it is 'gpu')",
        "train.seed: Input should be greater than or equal to 0 (it is -1)",
        "train.deterministic: Input should be a valid boolean (it is 'yes')",
        "train.epochs: Input should be greater than 0 (it is 0)",
        "train.warmup_fraction: Input should be less than or equal to 1 (it is 1.5)",
        "train.clip_norm: Field required",
        "train.clip_norms: Extra inputs are not permitted (it is 1.0)",
    ]


def test_all_sections_at_once(refused):
    assert refused(
        Params,
        ("dev_sentences: 2500", "dev_sentences: none"),
        ("^evaluate:", "evaluation: 3\nevaluate:"),
        ("sources:\n      - .*bio.txt\n      - .*msra_train_bio\n", "sources: []\n"),
    ).split("; ") == [
        "download.train.sources: List should have at least 1 item after validation, not 0"
        " (it is [])",
        "align.dev_sentences: Input should be a valid integer (it is 'none')",
        "evaluation: Extra inputs are not permitted (it is 3)",
    ]


WRONG = {
    "nan": (".nan", "Input should be a finite number (it is nan)"),
    "infinite": (".inf", "Input should be a finite number (it is inf)"),
    "null": ("null", "Input should be a valid number (it is None)"),
    "text": ("low", "Input should be a valid number (it is 'low')"),
    "boolean": ("yes", "Input should be a valid number (it is True)"),
    "zero": ("0", "Input should be greater than 0 (it is 0)"),
    "YAML's number without a dot": (
        "5e-5",
        "Input should be a valid number (it is '5e-5', to YAML a text: write 5.0e-5 for 5e-5)",
    ),
}


@pytest.mark.parametrize(("value", "said"), WRONG.values(), ids=WRONG)
def test_no_number(refused, value, said):
    assert refused(Train, ("0.00005", value)) == f"train.learning_rate: {said}"


@pytest.mark.parametrize("value", ["5.0e-5", "1", "0.00005"])
def test_a_number(tmp_path, value):
    (tmp_path / "p").write_text(REAL.replace("0.00005", value), encoding="utf-8")
    assert read(Train, tmp_path / "p").learning_rate == float(value)


def test_a_date_is_text(tmp_path, refused):
    (tmp_path / "p").write_text(re.sub("licence: .*", "licence: 2006-07-22", REAL), "utf-8")
    assert read(Download, tmp_path / "p").licence == "2006-07-22"
    said = "align.seed: Input should be a valid integer (it is '2006-07-22')"
    assert refused(Align, ("seed: 13", "seed: 2006-07-22")) == said


@pytest.mark.parametrize(
    ("types", "said"),
    [
        ("[PER, ORG, PER]", "align: types is ['PER', 'ORG', 'PER']; write each once"),
        ("[B-PER]", r"align.types.0: String should match pattern '^[^\s-]+$' (it is 'B-PER')"),
        ("[PER, '']", r"align.types.1: String should match pattern '^[^\s-]+$' (it is '')"),
        ("[]", "align.types: List should have at least 1 item after validation, not 0 (it is [])"),
        (str([f"T{i}" for i in range(64)]), "align.types: List should have at most 63 items "),
    ],
)
def test_types(refused, types, said):
    assert refused(Align, (r"types: \[.*", f"types: {types}")).startswith(said)


@pytest.mark.parametrize(("size", "overlap", "most"), [(128, 64, 63), (129, 64, 63), (8, 4, 3)])
def test_windows_that_hardly_move_on(refused, tmp_path, size, overlap, most):
    changes = (
        ("window_tokens: 128", f"window_tokens: {size}"),
        ("overlap_tokens: 48", f"overlap_tokens: {overlap}"),
    )
    assert refused(Align, *changes) == (
        f"align: window_overlap_tokens is {overlap}, with window_tokens = {size}"
        f" it can be {most} at most"
    )
    text = REAL.replace(*changes[0]).replace("overlap_tokens: 48", f"overlap_tokens: {most}")
    (tmp_path / "p").write_text(text, encoding="utf-8")
    assert read(Align, tmp_path / "p").window_overlap_tokens == most


ONE_PLACE = "encoder: needs either hub_id or folder"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("folder: null", "folder: x", ONE_PLACE),
        ("hub_id: .*", "hub_id: null", ONE_PLACE),
        ("revision: .*", "revision: null", "encoder: hub_id needs revision, the 40 digits of"),
        ("git_blob: fe665.*", "git_blob: null", "train: needs git_blob or sha256: a source "),
        ("sha256: null", "sha256: unpinned", "train: is unpinned, so bytes and git_blob must be"),
        ("git_blob: fe665ec", "git_blob: fe665ex", "train.git_blob: String should match pattern"),
    ],
)
def test_sources_that_cannot_be_checked(refused, old, new, said):
    assert refused(Download, (old, new)).startswith(f"download.{said}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, " is not here: run from the folder that holds it"),
        ("", " has no section align"),
        ("train: {}", " has no section align"),
        ("- align", " has no section align"),
        ("align:", ": align: Input should be an object (it is None)"),
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


def test_int8_is_not_for_cuda(refused):
    assert refused(Export, ("precision: fp32", "precision: int8")) == (
        "export: precision is int8, which CUDA does not run: set require_cuda: false, or precision:"
        " fp16"
    )
    assert refused(Export, ("precision: fp32", "precision: fp8")) == (
        "export.precision: Input should be 'fp32', 'fp16', 'bf16' or 'int8' (it is 'fp8')"
    )
