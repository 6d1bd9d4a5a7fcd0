"""The stage `align`: turns a corpus into windows of tokens and labels, and splits off dev."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stages.contract.command import command
from stages.contract.errors import StageError
from stages.contract.outs import whole
from stages.contract.progress import progress
from stages.corpus.corpus import Corpus
from stages.corpus.data_warnings import data_warnings
from stages.corpus.origins import added_files, named, names_of, origins, split_file
from stages.corpus.plain_text import align_text, text_files, text_warnings
from stages.corpus.splits import entity_types, read_split, split_corpora
from stages.model.encoder import check_window, load_tokenizer, special_ids
from stages.params.align import Align
from stages.text.labels import Labels, iob2_tags
from stages.text.tokens import CellEncoder
from stages.text.windows_writer import write_aligned


def align(
    params: Align,
    raw: Path,
    encoder: Path,
    out: Path,
    report: Path,
    names: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Aligns train, test and, if it exists, dev of the folder `raw` with `encoder`'s tokenizer.

    Writes to `out`: train, dev and test as Parquet (see `stages.text.windows_table`), labels.json;
    and text.parquet, if `raw` has plain text (see `stages.corpus.plain_text`).
    Writes to `report`: the number of repairs of each kind and their first places; per split its
    sentences, cells (`characters` or `words`), entities in and kept, unknown rate (of cells) and
    windows; and `warnings`, each a `message` and a `remedy`. No cell and no entity is dropped or
    cut. The sentences that were read lie in temporary files beside `out`; memory grows by some
    dozens of bytes a sentence.

    Files of a growing source, which source.json names, add to train, without the sentences that dev
    or test has too. What it prints names a file by `names` (see `stages.corpus.origins`); what it
    writes does not.

    The readers in `stages.corpus.formats` say what is repaired and what is refused. Wrong tags and
    spans of test are repaired only with `repair_test_tags`.

    Raises:
        StageError: malformed input, with file and line; too few sentences for the dev split; no
            encoder, or one that takes fewer tokens than a window has, or whose tokenizer lacks
            [CLS], [SEP], [UNK] or a fast version.
    """
    names = {**(names or {}), **{str(file): name for file, name in added_files(raw).items()}}
    out.parent.mkdir(parents=True, exist_ok=True)
    corpora = _read(params, raw, names, out.parent)
    types = entity_types(corpora, params)
    splits = split_corpora(corpora, params)
    figures: dict[str, Any] = {
        "repaired": {name: dict(corpus.repairs.counts) for name, corpus in corpora.items()},
        "repaired_first": {name: corpus.repairs.first for name, corpus in corpora.items()},
    }
    _print_repairs(corpora, names)
    with whole(out, report) as [folder, file]:
        folder.mkdir()
        encode, labels = tokenizer(encoder, params, types)
        labels.write(folder)
        with progress(sum(map(len, splits.values())), "align", " sentences") as bar:
            for name, split in splits.items():
                path, meta = folder / f"{name}.parquet", split.corpus.has_meta
                batches = split.batches()
                figures[name] = write_aligned(batches, labels, encode, path, meta, bar.update)
        figures["warnings"] = data_warnings(corpora, splits, figures, types)
        if files := text_files(raw):
            path = folder / "text.parquet"
            with names_of(names):
                figures["text"] = align_text(files, labels, encode, corpora["test"], path)
            figures["warnings"] += text_warnings(figures["text"])
        file.write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    for warning in figures["warnings"]:
        print(f"align: warning: {warning['message']}; {warning['remedy']}", file=sys.stderr)
    return {"sentences": sum(map(len, splits.values()))}


def main() -> None:
    """Runs the stage in the current folder."""
    command(
        Align,
        lambda params: align(
            params,
            Path("data/corpus"),
            Path("data/encoder"),
            Path("data/aligned"),
            Path("reports/align.json"),
            origins(Path("data/corpus")),
        ),
        "Align a corpus with the encoder's tokens, and split off dev.",
    )


def _read(params: Align, raw: Path, names: Mapping[str, str], scratch: Path) -> dict[str, Corpus]:
    files = {split: split_file(raw, split) for split in ("train", "dev", "test")}
    if not files["dev"].is_file():
        del files["dev"]
    added = {"train": added_files(raw)}
    with names_of(names):
        return {
            split: read_split(split, path, params, scratch, added.get(split))
            for split, path in files.items()
        }


def _print_repairs(corpora: Mapping[str, Corpus], names: Mapping[str, str]) -> None:
    """Prints each kind of repair, with its first places."""
    for name, corpus in corpora.items():
        for kind, count in corpus.repairs.counts.items():
            places = corpus.repairs.first[kind]
            more = ", ..." if count > len(places) else ""
            line = f"align: {name}: repaired {count} x {kind}, first at {', '.join(places)}{more}"
            print(named(line, names), file=sys.stderr)


def tokenizer(encoder: Path, params: Align, types: Sequence[str]) -> tuple[CellEncoder, Labels]:
    """What makes tokens of cells with the tokenizer in the folder `encoder`, and labels of tags.

    Raises:
        StageError: no encoder, or one that takes fewer tokens than a window has, or whose tokenizer
            lacks [CLS], [SEP], [UNK] or a fast version.
    """
    if not (encoder / "config.json").is_file():  # transformers would look for it on the hub
        raise StageError(f"there is no encoder in {encoder}: run `dvc repro download` first")
    check_window(encoder, params.window_tokens)
    made = load_tokenizer(encoder)
    special = special_ids(made)
    if lacking := [token for token, id_ in special.items() if id_ is None]:
        raise StageError(
            f"the tokenizer in {encoder} lacks {', '.join(lacking)}; choose another encoder"
        )
    cls, sep, unknown = (id_ for id_ in special.values() if id_ is not None)
    labels = Labels(
        tags=iob2_tags(types),
        window_tokens=params.window_tokens,
        window_overlap_tokens=params.window_overlap_tokens,
        cls_id=cls,
        sep_id=sep,
        unknown_id=unknown,
        cells=params.cells,
    )
    return CellEncoder(made.backend_tokenizer, unknown, params.cells), labels


if __name__ == "__main__":
    main()
