"""The section `align` of params.yaml. No defaults here: params.yaml holds every number."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from stages.contract.section import Positive, Section, Seed

TYPES_MAX = 63  # which make 127 labels: they are written as int8
# B-PER is no type; MLflow takes these characters alone in the name of a metric.
TYPE = r"^\w(\w[\w./:-]*)?$"
Type = Annotated[str, Field(pattern=TYPE)]


class Conll(Section):
    """A line a token, a blank line between sentences."""

    columns: list[str] = Field(description="Their names; token and tag are read")
    separator: Annotated[str, Field(min_length=1)] | None = Field(
        description="Of columns; null: any spaces and tabs"
    )
    comment: Annotated[str, Field(min_length=1)] | None = Field(
        description="Lines that begin so are skipped; null: none"
    )

    @model_validator(mode="after")
    def _has_a_token_and_a_tag(self) -> Self:
        if any(self.columns.count(name) != 1 for name in ("token", "tag")):
            raise ValueError(f"columns is {self.columns}; name one token and one tag")
        return self


class Jsonl(Section):
    """A JSON object a line."""

    text: str = Field(description="Key of the text")
    spans: str = Field(description="Key of the list of [start, end, type], in characters")


class Parquet(Section):
    """A row a sentence, as Hugging Face `datasets` writes it."""

    tokens: str = Field(description="Column of the list of tokens")
    tags: str = Field(description="Column of their tags: ClassLabel, or texts")


class Align(Section):
    """How `align` reads the corpus and turns it into tokens."""

    format: Literal["conll", "jsonl", "parquet"] = Field(description="Of all splits")
    conll: Conll
    jsonl: Jsonl
    parquet: Parquet
    scheme: Literal["BIO", "IOB1", "BIOES", "BILOU", "BMES", "BMEO"] = Field(
        description="Of the tags in conll and parquet; what each is: stages/corpus/schemes.py"
    )
    cells: Literal["characters", "words"] = Field(
        description="What has a tag each; words for languages with spaces between them"
    )
    types: Annotated[list[Type], Field(min_length=1, max_length=TYPES_MAX)] | None = Field(
        description="Entity types; null: all that are in the corpus"
    )
    dev_sentences: Positive = Field(
        description="Held out of train, repeated ones together, where download.dev is null"
    )
    dev_block_sentences: Positive = Field(
        description="Neighbours held out together: sentences of one article share their names"
    )
    seed: Seed = Field(description="Of the dev split and of the choice of train sentences")
    train_sentences: Positive | None = Field(description="Use this many at most; null: all")
    window_tokens: Annotated[int, Field(ge=8)] = Field(description="[CLS] and [SEP] included")
    window_overlap_tokens: Annotated[int, Field(ge=0)] = Field(description="Of neighbours")
    repair_test_tags: bool = Field(
        description="Whether test, like train, is repaired where its tags or spans are wrong (a"
        " stray I- becomes B-), or that is an error"
    )

    @model_validator(mode="after")
    def _types_differ_and_windows_move_on(self) -> Self:
        if self.types is not None and len(set(self.types)) < len(self.types):
            raise ValueError(f"types is {self.types}; write each once")
        most = (self.window_tokens - 2) // 2
        if self.window_overlap_tokens > most:
            raise ValueError(
                f"window_overlap_tokens is {self.window_overlap_tokens}, with window_tokens ="
                f" {self.window_tokens} it can be {most} at most"
            )
        return self
