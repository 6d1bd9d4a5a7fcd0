"""Unlabelled text beside a corpus."""

import pyarrow.parquet as pq
import pytest

from stages.contract.errors import StageError
from stages.corpus.plain_text import BLOCK_BYTES, LINE_BYTES, read_text
from tests.stages.tiny import align_text, tagged, write_encoder

TEST = [tagged("北京大学"), tagged("张三"), tagged("李四在北京")]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return write_encoder(tmp_path_factory.mktemp("tiny") / "bert")


@pytest.fixture
def with_text(tmp_path, encoder):
    """Aligns a tiny corpus with files of plain text."""

    def with_text(*texts, **changes):
        raw = tmp_path / "data/corpus"
        raw.mkdir(parents=True, exist_ok=True)
        for number, text in enumerate(texts):
            (raw / f"text.{number}.txt").write_bytes(text)
        return align_text(tmp_path, encoder, test=TEST, **changes)

    return with_text


def ids(result):
    return pq.read_table(result.folder / "text.parquet")["input_ids"].to_pylist()


def test_without_text_there_is_none(with_text):
    result = with_text()
    assert not (result.folder / "text.parquet").exists()
    assert "text" not in result.report


def test_a_line_is_encoded_as_a_sentence_of_the_corpus(with_text):
    lines = ["李四在北京", "去大学", "北京大学"]
    result = with_text("\ufeff李四在北京\r\n \n去大学".encode(), "北京大学\n".encode())
    found = ids(result)
    assert len(found) == len(lines)
    assert [found[2], found[0]] == [result.splits["test"].input_ids[n].tolist() for n in (0, 2)]
    assert result.report["text"] == {
        "files": 2,
        "sentences": 3,
        "characters": 12,
        "unknown_rate": 0.0,
        "windows": 3,
        "in_test": 2,
    }
    [warning] = [w for w in result.report["warnings"] if "download.text" in w["message"]]
    assert warning["message"].startswith("2 lines of download.text are sentences of test too")


def test_a_long_line_is_cut_into_full_windows(with_text):
    line = "0123456789" * 10
    found = ids(with_text(line.encode()))
    assert [len(window) for window in found] == [32, 32, 32, 32]
    of_digit = found[0][1:11]
    assert found[1][1:-1] == (of_digit * 10)[30:60]
    assert found[3][1:-1] == (of_digit * 10)[70:]  # moved back until it is full


def test_words_are_cells_where_the_corpus_has_words(with_text):
    result = with_text(b"ab cd, ab\n", cells="words")
    assert result.report["text"]["words"] == 4
    assert len(ids(result)) == 1


REFUSED = {
    "北京\n".encode() + "京".encode("gb18030"): r"text\.0\.txt:2: not UTF-8 \(byte 0xbe\)",
    b" \n\n": r"text\.0\.txt has no text; remove it from download\.text",
    b"a\n" + b"b" * LINE_BYTES: r"text\.0\.txt:2: a line of 1,048,576 bytes or more; write a",
}


@pytest.mark.parametrize(("content", "why"), REFUSED.items(), ids=("encoding", "empty", "line"))
def test_what_is_no_text_is_refused(with_text, content, why):
    with pytest.raises(StageError, match=why):
        with_text(content)


def test_lines_of_several_blocks_keep_their_order_and_their_numbers(tmp_path):
    path, done = tmp_path / "a.txt", []
    count = 2 * BLOCK_BYTES // 8
    path.write_text("".join(f"{number:07}\n" for number in range(count)) + "\n")
    batches = list(read_text(path, "characters", done.append))
    assert len(batches) == 2
    cells = [row for batch in batches for row in batch["cells"].to_pylist()]
    assert ["".join(row) for row in cells] == [f"{number:07}" for number in range(count)]
    assert sum(done) == path.stat().st_size
    with path.open("ab") as file:
        file.write(b"\xff\n")
    with pytest.raises(StageError, match=f":{count + 2}: not UTF-8"):
        list(read_text(path, "characters", done.append))
