import pytest
import yaml
from pydantic import ValidationError

from stages.contract.section import read
from stages.params.align import Align
from stages.params.download import Download
from stages.params.evaluate import Evaluate
from stages.params.export import Export
from stages.params.params import Params
from stages.params.train import Train
from tests.conftest import ROOT
from tests.stages.conftest import REAL

SECTIONS = (Download, Align, Train, Evaluate, Export)


@pytest.mark.parametrize("section", [Params, *SECTIONS])
def test_the_real_ones_are_valid_and_frozen(section, monkeypatch):
    monkeypatch.chdir(ROOT)
    params = read(section, whole=section is Params)
    key = next(iter(type(params).model_fields))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(params, key, None)
    values = yaml.safe_load(REAL)
    if section is not Params:
        values = values[section.__name__.lower()]
    assert params.model_dump(exclude_unset=True) == values


@pytest.mark.parametrize("section", SECTIONS)
def test_no_key_has_a_default(section, refused):
    values = yaml.safe_load(REAL)[section.__name__.lower()]
    for key in values:
        text = rf"(^{section.__name__.lower()}:\n(?:  .*\n)*?)  {key}:"
        message = refused(section, (text, r"\1  other:"))
        assert f"{section.__name__.lower()}.{key}: Field required" in message


def test_text_below_pretrain_is_led_to_where_it_belongs(refused):
    message = refused(Train, ("pretrain: {", "pretrain: {text: [a.txt], "))
    assert message == (
        "train.pretrain: text belongs to download.text: that stage fetches and checks it"
    )


def test_every_error_at_once(refused):
    assert refused(
        Train,
        ("seed: 42", "seed: -1"),
        ("^  epochs: 10", "  epochs: 0"),
        ("device: cuda\n  gpus", "device: gpu\n  gpus"),
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
        "train.clip_norms: there is no such key (it is 1.0)",
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
        "evaluation: there is no such key, did you mean evaluate? (it is 3)",
    ]


@pytest.mark.parametrize(
    ("types", "message"),
    [
        ("[PER, ORG, PER]", "align: types is ['PER', 'ORG', 'PER']; write each once"),
        ("[B-PER]", "align.types.0: the entity type 'B-PER' is not letters, digits, _ "),
        ("[a-b, R&D]", "align.types.0: the entity type 'a-b' is not letters, digits, _ . "),
        ("[none]", "align.types.0: the reports have a row called 'none'; rename this entity"),
        ("[PER, '']", "align.types.1: the entity type '' is not letters, digits, _ . / : "),
        ("[]", "align.types: List should have at least 1 item after validation, not 0 (it is [])"),
        (str([f"T{i}" for i in range(501)]), "align.types: List should have at most 500 items "),
    ],
)
def test_types(refused, types, message):
    assert refused(Align, (r"types: \[.*", f"types: {types}")).startswith(message)


@pytest.mark.parametrize(("size", "overlap", "most"), [(128, 64, 63), (129, 64, 63), (8, 4, 3)])
def test_windows_that_hardly_move_on(refused, tmp_path, size, overlap, most):
    changes = (
        ("window_tokens: 128", f"window_tokens: {size}"),
        ("overlap_tokens: 48", f"overlap_tokens: {overlap}"),
    )
    assert refused(Align, *changes) == (
        f"align: window_overlap_tokens is {overlap}, but with window_tokens = {size}"
        f" it can be at most {most}"
    )
    text = REAL.replace(*changes[0]).replace("overlap_tokens: 48", f"overlap_tokens: {most}")
    (tmp_path / "p").write_text(text, encoding="utf-8")
    assert read(Align, tmp_path / "p").window_overlap_tokens == most


ONE_PLACE = "encoder: needs either hub_id or folder"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("folder: null", "folder: x", ONE_PLACE),
        ("hub_id: .*", "hub_id: null", ONE_PLACE),
        ("revision: .*", "revision: null", "encoder: hub_id needs revision, the 40 digits of"),
        (
            r"git_blob: fe665.*\n( +)sha256: .*",
            r"git_blob: null\n\1sha256: null",
            "train: needs git_blob or sha256: a source ",
        ),
        ("sha256: b403.*", "sha256: unpinned", "train: is unpinned, so bytes and git_blob must be"),
        ("git_blob: fe665ec", "git_blob: fe665ex", "train.git_blob: String should match pattern"),
    ],
)
def test_sources_that_cannot_be_checked(refused, old, new, message):
    assert refused(Download, (old, new)).startswith(f"download.{message}")


def test_int8_is_not_for_cuda(refused):
    assert refused(Export, ("precision: fp32", "precision: int8")) == (
        "export: precision is int8, which CUDA does not run: set require_cuda: false, or precision:"
        " fp16"
    )
    assert refused(Export, ("precision: fp32", "precision: fp8")) == (
        "export.precision: Input should be 'fp32', 'fp16', 'bf16' or 'int8' (it is 'fp8')"
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("{}", "short: has no condition: give one of pattern, min_characters,"),
        ("{pattern: '('}", "short: pattern '(' is not a regular expression: missing )"),
        (
            "{min_characters: 9, max_characters: 8}",
            "short: min_characters is 9, above max_characters = 8: no sentence has both",
        ),
        ("{length: 3}", "short.length: there is no such key (it is 3)"),
        ("{meta: {}, type: null}", "short: has no condition: give one of pattern,"),
    ],
)
def test_slices_that_pick_nothing(refused, given, message):
    found = refused(Evaluate, (r"short: \{.*", f"short: {given}"))
    assert found.startswith(f"evaluate.slices.{message}")


def test_a_slice_is_named_as_a_metric_can_be(refused):
    found = refused(Evaluate, ("short: ", "'a b': "))
    assert found.startswith("evaluate.slices.a b.[key]: String should match pattern")


def test_a_cuda_graph_keeps_what_it_computed(refused):
    assert refused(Train, ("gradient_checkpointing: false", "gradient_checkpointing: true")) == (
        "train: gradient_checkpointing needs compile: false"
    )


@pytest.mark.parametrize(
    "address",
    [
        "https://me:hunter2@example.org/train",  # pragma: allowlist secret
        "https://hunter2@example.org/train",
        "https://example.org/train?private_token=hunter2",
        "https://example.org/train?X-Amz-Signature=hunter2&x=1",
    ],
)
def test_a_secret_stands_in_no_address_and_is_not_repeated(refused, tmp_path, address):
    message = refused(Download, (r"- .*msra_train_bio.txt", f"- {address}"))
    assert message.startswith("download.train.sources.0: is an address with a password or token")
    assert "hunter2" not in message
    hidden = address.replace("me:hunter2", "me:$SECRET").replace("hunter2", "${SECRET}")
    values = yaml.safe_load(REAL)
    values["download"]["train"]["sources"] = [hidden]
    (tmp_path / "p").write_text(yaml.safe_dump(values), encoding="utf-8")
    assert read(Download, tmp_path / "p").train.sources == [hidden]
