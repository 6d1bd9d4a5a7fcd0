"""The section `align` of params.yaml, without defaults: params.yaml has every number."""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from stages.contract.section import Positive, Section, Seed

# A test has that many. Not a limit of the format, but a mistake in the file gives thousands.
TYPES_MAX = 500
# Not B-PER, which is a tag. MLflow allows only these characters and a blank in a metric's name; the
# comparison page separates types by blanks.
TYPE = r"\w(\w[\w./:-]*)?"
NOT_A_TYPE = "none"  # where gold or prediction has no entity, in confusion.csv and the report


def type_problem(type_: str) -> str:
    """Why an entity type cannot have this name, and what to do; "" if it can."""
    if type_ == NOT_A_TYPE:
        return f"the reports have a row called {type_!r}; rename this entity type"
    if re.fullmatch(TYPE, type_):
        return ""
    return (
        f"the entity type {type_[:40]!r} is not letters, digits, _ . / : and - alone, the first two"
        " of them letters, digits or _; rename it"
    )


def _checked_type(type_: str) -> str:
    if problem := type_problem(type_):
        raise ValueError(problem)
    return type_


Type = Annotated[str, AfterValidator(_checked_type)]

Nested = Literal["refuse", "outermost", "innermost"]


class Conll(Section):
    """One token per line, a blank line between sentences."""

    columns: list[str] = Field(description="Names in order; token and tag are read")
    separator: Annotated[str, Field(min_length=1)] | None = Field(
        description="Between columns; null: any spaces and tabs"
    )
    comment: Annotated[str, Field(min_length=1)] | None = Field(
        description="Prefix of lines to skip; null: none"
    )

    @model_validator(mode="after")
    def _has_a_token_and_a_tag(self) -> Self:
        if any(self.columns.count(name) != 1 for name in ("token", "tag")):
            raise ValueError(f"columns is {self.columns}; name one token and one tag")
        return self


class Jsonl(Section):
    """One JSON object per line."""

    text: str = Field(description="Key of the text")
    spans: str = Field(description="Key of the list of [start, end, type], in characters")


class Parquet(Section):
    """One row per sentence, as Hugging Face `datasets` writes it."""

    tokens: str = Field(description="Column of the list of tokens")
    tags: str = Field(description="Column of the list of tags: ClassLabel, or strings")


class Align(Section):
    """How `align` reads the corpus and turns it into tokens."""

    format: Literal["conll", "jsonl", "parquet"] = Field(description="Of all splits")
    conll: Conll
    jsonl: Jsonl
    parquet: Parquet
    scheme: Literal["BIO", "IOB1", "BIOES", "BILOU", "BMES", "BMEO"] = Field(
        description="Of the tags in conll and parquet: see stages/corpus/schemes.py"
    )
    cells: Literal["characters", "words"] = Field(
        description="What has one tag each; words: for languages with spaces between words"
    )
    types: Annotated[list[Type], Field(min_length=1, max_length=TYPES_MAX)] | None = Field(
        description="Entity types; null: all types in the corpus"
    )
    nested: Nested = Field(
        description="Of jsonl spans that overlap: the longer or the shorter ones stay, the others"
        " are counted; refuse: they are an error"
    )
    dev_sentences: Positive = Field(
        description="Held out of train, repeated ones together, if download.dev is null"
    )
    dev_block_sentences: Positive = Field(
        description="Neighbours held out together: sentences of one article share their names"
    )
    seed: Seed = Field(description="Of the dev split and of the choice of train sentences")
    train_sentences: Positive | None = Field(description="Use at most so many; null: all")
    window_tokens: Annotated[int, Field(ge=8)] = Field(description="Including [CLS] and [SEP]")
    window_overlap_tokens: Annotated[int, Field(ge=0)] = Field(
        description="Tokens that neighbouring windows share"
    )
    repair_test_tags: bool = Field(
        description="true: repair wrong tags and spans in test as in train (a stray I- becomes B-);"
        " false: they are an error"
    )

    @model_validator(mode="after")
    def _types_differ_and_windows_move_on(self) -> Self:
        if self.types is not None and len(set(self.types)) < len(self.types):
            raise ValueError(f"types is {self.types}; write each once")
        most = (self.window_tokens - 2) // 2
        if self.window_overlap_tokens > most:
            raise ValueError(
                f"window_overlap_tokens is {self.window_overlap_tokens}, but with window_tokens ="
                f" {self.window_tokens} it can be at most {most}"
            )
        return self
