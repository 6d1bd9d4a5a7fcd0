"""Writes sizes and hashes into the file where a user has a corpus source; changes nothing else."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from pipelines.corpus_check.sources import keys
from pipelines.errors import PipelineError
from stages.contract.outs import whole


def write(files: Mapping[str, Path], contents: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Writes `bytes`, `git_blob` and `sha256` of each split where it is described last.

    Comments, order and layout stay: ruamel.yaml would wrap lines, indent lists and write `null` as
    nothing.

    Args:
        files: Name → path of params.yaml and the overlays, in the order in which they are merged.
        contents: Split → what to write.

    Returns:
        The names of the files that were written.

    Raises:
        PipelineError: a file describes a split so (by an anchor, say) that this cannot be done.
    """
    texts = {name: path.read_bytes().decode("utf-8") for name, path in files.items()}
    written = []
    for split, content in contents.items():
        name = [n for n, text in texts.items() if _section(text, split) is not None][-1]
        texts[name] = _pinned(name, texts[name], split, content)
        written.append(name)
    for name in dict.fromkeys(written):
        path = files[name].resolve()  # a link stays one
        with whole(path) as [new]:
            new.write_bytes(texts[name].encode("utf-8"))
            shutil.copymode(path, new)
    return [*dict.fromkeys(written)]


def _section(text: str, split: str) -> yaml.MappingNode | None:
    node: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    for key in keys(split):
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        if isinstance(node, yaml.SequenceNode):
            pairs = [(yaml.ScalarNode("", index), value) for index, value in enumerate(node.value)]
        node = next((value for name, value in pairs if name.value == key), None)
    return node if isinstance(node, yaml.MappingNode) else None


def _pinned(name: str, text: str, split: str, content: Mapping[str, Any]) -> str:
    section = _section(text, split)
    there = {key.value: value for key, value in section.value} if section else {}
    edits = []  # start, end, what stands between them then
    for key, value in content.items():
        if key in there:
            start, end = there[key].start_mark.index, there[key].end_mark.index
            edits.append((start, end, f"{value}" if start < end else f" {value}"))
    new = [f"{key}: {value}" for key, value in content.items() if key not in there]
    if section and new:
        if section.flow_style:
            at = section.value[-1][1].end_mark.index if there else section.start_mark.index + 1
            edits.append((at, at, ", " * bool(there) + ", ".join(new)))
        else:
            first = section.value[0][0].start_mark
            lines = f"\n{' ' * first.column}".join([*new, ""])
            edits.append((first.index, first.index, lines))
    pinned = text
    for start, end, value in sorted(edits, reverse=True):
        pinned = pinned[:start] + value + pinned[end:]
    expected = _replaced(yaml.safe_load(text), keys(split), content)
    if not _means(pinned, expected):
        lines = ", ".join(f"{key}: {value}" for key, value in content.items())
        raise PipelineError(f"{name}: write these below download.{split} yourself: {lines}")
    return pinned


def _replaced(values: Any, below: Sequence[str | int], content: Mapping[str, Any]) -> Any:
    """`values` with `content` in what is `below` these keys."""
    if not below:
        return values | content
    # Not in place: an alias would make it another split's too.
    key, *others = below
    copy = values.copy()
    copy[key] = _replaced(values[key], others, content)
    return copy


def _means(text: str, values: Any) -> bool:
    try:
        return bool(yaml.safe_load(text) == values)
    except yaml.YAMLError:
        return False
