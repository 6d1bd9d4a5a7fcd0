"""The examples of docs/formats.md are read as it says, each in its own format."""

import re
from itertools import pairwise

import pytest
import yaml

from stages.corpus.formats.read import read_corpus
from stages.params.align import Align
from tests.conftest import ROOT
from tests.stages.corpus.spans import SCHEMES, spans_in
from tests.stages.tiny import PARAMS

PAGE = (ROOT / "docs/formats.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.M | re.S)
EXAMPLES = [(yaml.safe_load(one[1]), two[1]) for one, two in pairwise(BLOCKS) if one[0] == "yaml"]
FOUND = {
    "conll": [["Ann PER", "Port Lumo LOC"]],
    "jsonl": [
        ["安娜 PER", "新月港 LOC"],
        ["新月港 LOC"],
        ["波波 PER"],
        [],
        ["安娜 PER", "波波 PER"],
    ],
    "parquet": [["Ann PER", "Bo Li PER"]],
}


def test_there_is_one_of_each_format():
    formats = [values["align"].get("format", "conll") for values, _ in EXAMPLES]
    assert formats == [*FOUND]


@pytest.mark.parametrize(("values", "example"), EXAMPLES, ids=FOUND)
def test_example(tmp_path, monkeypatch, values, example):
    params = Align.model_validate(PARAMS | values["align"])
    path = tmp_path / "train.parquet"
    if params.format == "parquet":
        monkeypatch.chdir(tmp_path)
        exec(example, {})  # noqa: S102
    else:
        path.write_text(example, encoding="utf-8")
    corpus = read_corpus(path, params, repair=False)
    assert corpus.repairs.counts == {}
    assert [
        [
            "".join(sentence.cells[start:end]).strip() + f" {type_}"
            for start, end, type_ in spans_in(sentence.tags)
        ]
        for sentence in corpus.sentences
    ] == FOUND[params.format]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_scheme(tmp_path, scheme):
    [tags] = re.findall(rf"^\| `{scheme}` \| (.*) \|$", PAGE, re.M)
    path = tmp_path / "train.txt"
    path.write_text(
        "".join(f"{c}\t{t}\n" for c, t in zip("新月港人安", tags.split(" | "), strict=True))
    )
    params = Align.model_validate(PARAMS | {"scheme": scheme})
    [sentence] = read_corpus(path, params, repair=False).sentences
    assert spans_in(sentence.tags) == [(0, 3, "LOC"), (4, 5, "PER")]
