"""Estimated against true F1 on other kinds of text: the table of docs/serving.md.

Takes a model of MSRA, trained on a part of its train file, and NER_SHARED, the folder that has
msra/. The kinds are sentences of the train file that the model has not seen, and MSRA's test split.

    python -m benchmarks.f1_without_labels --onnx models/onnx --train data/corpus/train.txt
"""

import argparse
import os
import random
import re
import unicodedata
from pathlib import Path

import numpy as np

from pipelines.settings import Watch
from pipelines.watching.f1_estimate import estimate
from pipelines.watching.texts import Text
from pipelines.workspaces import overlays
from stages.model.decode import Span
from stages.scoring.predictions import entities
from stages.scoring.spans import Pair, scores
from stages.serving.tagger import Tagger

ROOT = Path(__file__).parents[1]
Sentence = tuple[tuple[str, ...], tuple[str, ...]]  # cells, tags
AT_ONCE = 64
BLOCK = 50  # neighbouring test sentences that stay in one half, as of one article
LIST_CHARACTERS = 2000  # of MSRA's one list of 643 names; no other sentence is so long
GENRES = {
    "sports": "冠军|球队|比赛|锦标赛|联赛|女排|足球|运动员",
    "economy": "亿元|万元|市场|企业|公司|出口",
    "foreign affairs": "总统|外交部|美国|联合国|外长",
}
SIMPLIFIED = (
    "国会发来对说时们这个为长实现开关问题学习东车马门见话议员设计论经济组织统总书记级给结终线红约纪纯纸细绍领导单动务"
    "华业产电视听乐报场处应战师军队际张陈刘杨赵吴孙郑邓吕苏兰汉宁庆辽龙湾岛县乡镇厅厂与亲爱党团区历"
)
TRADITIONAL = (
    "國會發來對說時們這個為長實現開關問題學習東車馬門見話議員設計論經濟組織統總書記級給結終線紅約紀純紙細紹領導單動務"
    "華業產電視聽樂報場處應戰師軍隊際張陳劉楊趙吳孫鄭鄧呂蘇蘭漢寧慶遼龍灣島縣鄉鎮廳廠與親愛黨團區歷"
)


def main() -> None:
    """Prints a row for each kind of text."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--onnx", type=Path, required=True)
    parser.add_argument("--train", type=Path, required=True)
    given = parser.parse_args()
    msra = Path(os.environ["NER_SHARED"]) / "msra"
    tagger, settings = Tagger(given.onnx, 1), overlays.sections(ROOT).watch
    test = scored(tagger, read(msra / "msra_test_bio.txt"))
    plain = [text for text in test if len(text.text) < LIST_CHARACTERS]
    halves = "MSRA's test split, each half by the other"
    crossed(f"{halves}, without one list of 643 names", plain, settings)
    crossed(halves, test, settings)
    seen = set(read(given.train))
    unseen = [each for each in read(msra / "msra_train_canonical.txt") if each not in seen]
    for name, sentences in kinds(unseen).items():
        served = scored(tagger, sentences)
        found = estimate(test, served, settings)
        row(name, served, found.f1)


def kinds(unseen: list[Sentence]) -> dict[str, list[Sentence]]:
    """Name → sentences, drawn evenly."""
    drawn = random.Random(3)  # noqa: S311

    def some(number: int, pattern: str = "", low: int = 1, high: int = 250) -> list[Sentence]:
        fit = [s for s in unseen if low <= len(s[0]) <= high and re.search(pattern, "".join(s[0]))]
        return drawn.sample(fit, min(number, len(fit)))

    news = some(1500)
    table = str.maketrans(SIMPLIFIED, TRADITIONAL)

    def half(cell: str) -> str:
        usual = unicodedata.normalize("NFKC", cell)
        return usual if len(usual) == 1 else cell

    def noisy(cell: str) -> str:
        return cell if drawn.random() > 0.05 else drawn.choice("的一是在不了有和人这")

    found = {"other news": news, "80 characters or more": some(600, low=80)}
    found["fewer than 20"] = some(1500, high=19)
    found |= {name: some(1000, pattern) for name, pattern in GENRES.items()}
    for name, change in {
        "half-width": half,
        "traditional": lambda cell: cell.translate(table),
        "noise": noisy,
    }.items():
        found[f"other news, {name}"] = [(tuple(map(change, c)), t) for c, t in news]
    return found


def crossed(name: str, texts: list[Text], settings: Watch) -> None:
    """A row for the split: the gold, predicted and right entities of both halves together."""
    first = np.arange(len(texts)) // BLOCK % 2 == 0
    halves = [
        [t for t, chosen in zip(texts, side, strict=True) if chosen] for side in (first, ~first)
    ]
    sums = np.zeros(3)
    for labelled, served in (halves, halves[::-1]):
        found = estimate(labelled, served, settings)
        predicted = sum(len(text.scores) for text in served)
        right = found.precision * predicted
        sums += right / found.recall, predicted, right
    row(name, texts, float(2 * sums[2] / sums[:2].sum()))


def row(name: str, served: list[Text], estimated: float) -> None:
    """Prints it."""
    true = scores([Pair([*each.gold], [*each.scores]) for each in served])["f1"]
    difference = estimated - true
    print(
        f"| {name} | {len(served):,} | {true:.3f} | {estimated:.3f} | {difference:+.3f} |",
        flush=True,
    )


def scored(tagger: Tagger, sentences: list[Sentence]) -> list[Text]:
    """The sentences with what the model finds in them."""
    found = []
    for at in range(0, len(sentences), AT_ONCE):
        here = sentences[at : at + AT_ONCE]
        answers = tagger(["".join(cells) for cells, _ in here])
        for (cells, tags), answer in zip(here, answers, strict=True):
            spans = {Span(each.start, each.end, each.type): each.score for each in answer}
            found.append(Text("".join(cells), spans, frozenset(entities(cells, tags))))
    return found


def read(path: Path) -> list[Sentence]:
    """The sentences of a file of MSRA, without its lines that lack a character."""
    found = []
    for block in path.read_text(encoding="utf-8").split("\n\n"):
        rows = [line.split("\t") for line in block.splitlines()]
        rows = [each for each in rows if len(each) == 2 and each[0]]
        if rows:
            cells, tags = zip(*rows, strict=True)
            found.append((cells, tags))
    return found


if __name__ == "__main__":
    main()
