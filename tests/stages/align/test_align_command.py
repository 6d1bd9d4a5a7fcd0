import json
import signal

import pytest
import yaml

from tests.stage_process import files, start, until_made
from tests.stages.tiny import CHARACTERS, FILLER, PARAMS, align_text, bio, tagged, write_encoder

TRAIN = [tagged((CHARACTERS * 2)[n : n + 50], (0, 2, "LOC"), (3, 9, "PER")) for n in range(50)]


@pytest.fixture
def work(tmp_path):
    """A folder that `align` has run in, in this process."""
    folder = tmp_path / "work"
    encoder = write_encoder(folder / "data/encoder")
    (folder / "params.yaml").write_text(yaml.safe_dump({"align": PARAMS}))
    align_text(folder, encoder, train=TRAIN)
    return folder


OUTS = {
    *(f"data/aligned/{split}.parquet" for split in ("train", "dev", "test")),
    "data/aligned/labels.json",
    "reports/align.json",
}


@pytest.mark.slow  # so that all others end within eight minutes
def test_the_same_bytes_again_and_in_another_process(work):
    before = files(work)
    align_text(work, work / "data/encoder", train=TRAIN)
    assert files(work) == before
    for out in OUTS:
        (work / out).unlink()
    # Without the last two, Python makes UTF-8 of the C locale.
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    with start("align", work, PYTHONHASHSEED="1", TZ="Asia/Shanghai", **ascii_only) as process:
        out, err = process.communicate()
    assert out == ""
    warnings = json.loads((work / "reports/align.json").read_text("utf-8"))["warnings"]
    assert [line[:15] for line in err.splitlines()] == ["align: warning:"] * len(warnings)
    after = files(work)
    assert set(after) - set(before) == {".measured/align.json"}
    assert {path: after[path] for path in before} == before


@pytest.mark.slow  # contract/test_command.py ends a stage so, and download is ended in its tests
def test_sigterm_leaves_what_was_there(work):
    (work / "data/corpus/train.txt").write_text(bio(*TRAIN * 60, *FILLER), encoding="utf-8")
    before = files(work)
    with start("align", work) as process:
        until_made("data/.aligned.partial/labels.json", work, process)
        process.terminate()
        process.communicate(timeout=60)  # tqdm complains if its constructor is interrupted
        assert process.returncode == 128 + signal.SIGTERM
    assert files(work) == before
    assert not (work / "data/.aligned.partial").exists()


def test_one_line_for_a_bad_line(work):
    (work / "data/corpus/test.txt").write_text("京\tO\n京\tB-TIME\n", encoding="utf-8")
    before = files(work)
    with start("align", work) as process:
        printed = process.communicate()[1]
        assert process.returncode == 1
    assert printed == (
        "align: data/corpus/test.txt:2: unknown tag 'B-TIME'; align.scheme BIO and align.types in"
        " params.yaml allow O, B-LOC, I-LOC, B-ORG, I-ORG, B-PER, I-PER\n"
    )
    assert files(work) == before
