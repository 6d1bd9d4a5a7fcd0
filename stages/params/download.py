"""The section `download` of params.yaml, without defaults: params.yaml has every number."""

import re
from pathlib import PurePosixPath
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from stages.contract.section import Address, Fraction, Positive, Section

ENDING = re.compile(r"\.[a-z]\w{0,9}", re.IGNORECASE)  # no part of a version, such as `v1.2`
TEXT = "text."  # and its number: names a file of plain text
UNPINNED = "unpinned"  # the source may change; source.json then has the hash of what was fetched


class Source(Section):
    """One file to fetch, and the checks that it is the right one."""

    sources: list[Address] = Field(
        min_length=1,
        description="Tried in turn: http(s):// or file:// addresses or paths, $VARIABLES expanded",
    )
    bytes: Positive | None = Field(description="Size")
    git_blob: str | None = Field(pattern=r"^[0-9a-f]{40}$", description="Git's id of the content")
    sha256: str | None = Field(
        pattern=f"^([0-9a-f]{{64}}|{UNPINNED})$", description=f"Of the content, or {UNPINNED}"
    )

    @property
    def ending(self) -> str:
        """That of the first of the sources, `.txt` if it has none: its copy keeps it."""
        first = self.sources[0]
        path = urlsplit(first).path if "://" in first else first
        found = PurePosixPath(path).suffix
        return found if ENDING.fullmatch(found) else ".txt"

    @model_validator(mode="after")
    def _has_a_hash(self) -> Self:
        if not (self.git_blob or self.sha256):
            raise ValueError("needs git_blob or sha256: a source without either cannot be checked")
        if self.sha256 == UNPINNED and (self.git_blob or self.bytes):
            raise ValueError(f"is {UNPINNED}, so bytes and git_blob must be null")
        return self


class Growing(Section):
    """A folder or bucket to which labelled files are added; those that stand there add to train."""

    source: Address = Field(
        description="Folder, or s3://BUCKET/PREFIX; $VARIABLES expanded; a relative path belongs to"
        " the project's folder"
    )
    broken_share_max: Fraction = Field(
        description="Share of its files that may be broken, and are left out; more end the run"
    )
    settled_s: Annotated[float, Field(ge=0)] = Field(
        description="A file that changed less than so many seconds ago is left to the next run"
    )


class Encoder(Section):
    """The pre-trained encoder: a hub id at a revision, or a folder."""

    hub_id: str | None = Field(description="Hugging Face hub id; HF_ENDPOINT selects a mirror")
    revision: str | None = Field(pattern=r"^[0-9a-f]{40}$", description="Commit of the hub id")
    folder: str | None = Field(description="Local folder instead; $VARIABLES are expanded")
    sha256: dict[str, str] = Field(description="File name → SHA-256, for the files to check")
    from_scratch: bool = Field(description="true: the encoder has no weights, on purpose")

    @model_validator(mode="after")
    def _comes_from_one_place(self) -> Self:
        if (self.hub_id is None) == (self.folder is None):
            raise ValueError("needs either hub_id or folder")
        if self.hub_id is not None and self.revision is None:
            raise ValueError("hub_id needs revision, the 40 digits of a commit")
        return self


class Download(Section):
    """What `download` fetches, and how."""

    name: str = Field(min_length=1, description="Of the corpus, for report and model card")
    language: str = Field(pattern=r"^[a-z]{2,3}$", description="Of the corpus, ISO 639 code")
    train: Source
    dev: Source | None = Field(description="null: align holds dev out of train")
    test: Source
    text: list[Source] = Field(
        description="Files of plain text, a text a line, that train.pretrain reads besides train"
    )
    licence: str = Field(description="Of the corpus, copied into source.json")
    encoder: Encoder
    growing: Growing | None = Field(description="Adds to train; null: nothing")
    timeout_s: Annotated[float, Field(gt=0)] = Field(
        description="Seconds without a byte before an attempt fails"
    )
    attempts: Positive = Field(description="Per source; each continues where the last was cut off")

    @property
    def splits(self) -> dict[str, Source]:
        """The files of the corpus by split."""
        sources = {"train": self.train, "dev": self.dev, "test": self.test}
        return {name: source for name, source in sources.items() if source is not None}

    @property
    def fetched(self) -> dict[str, Source]:
        """The files of the corpus by split, and those of plain text as `text.0`, `text.1`, ..."""
        return self.splits | {f"{TEXT}{number}": one for number, one in enumerate(self.text)}

    @property
    def files(self) -> dict[str, str]:
        """The names of the copies of what is `fetched`: `train.jsonl`, `text.0.txt`."""
        return {name: f"{name}{source.ending}" for name, source in self.fetched.items()}

    @property
    def unpinned(self) -> dict[str, Source]:
        """What is `fetched` and may change."""
        return {name: one for name, one in self.fetched.items() if one.sha256 == UNPINNED}
