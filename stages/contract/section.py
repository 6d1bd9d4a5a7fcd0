"""Reads sections of params.yaml and checks them."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import parse_qsl, urlsplit

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from stages.contract.errors import StageError

SECRET = re.compile(r"token|secret|passw|signature|credential|api_?key|^sig$", re.IGNORECASE)
Positive = Annotated[int, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Device = Literal["auto", "cpu", "cuda"]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


def _without_secret(address: str) -> str:
    """Refuses a login or token in an address, except as a $VARIABLE."""
    parts = urlsplit(address)
    login = parts.netloc.rpartition("@")[0]
    secrets = [value for key, value in parse_qsl(parts.query) if SECRET.search(key)]
    if any(value and "$" not in value for value in [login, *secrets]):
        raise ValueError(  # without the address: logs keep the message
            "is an address with a password or token, which MLflow and logs would show: put it in"
            " an environment variable NER_... and write $NER_..."
        )
    return address


Address = Annotated[str, AfterValidator(_without_secret)]


class Section(BaseModel):
    """A frozen section with strict types; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


S = TypeVar("S", bound=Section)


def read(
    section: type[S],
    path: Path = Path("params.yaml"),
    whole: bool = False,
    layers: Mapping[str, str] | None = None,
) -> S:
    """Reads the section with the name of its class, or with `whole` the entire file.

    Args:
        section: the class to read.
        path: the file.
        whole: True if the section is the entire file.
        layers: name → text of the files that were merged into `path`, in that order.

    Raises:
        StageError: all errors at once, each with its line, key and value.
    """
    try:
        text = path.read_text(encoding="utf-8")
        values = yaml.safe_load(text)
    except FileNotFoundError:
        raise StageError(f"{path} not found: run in the folder that contains it") from None
    except OSError as error:
        raise StageError(f"{path}: {error.strerror}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a 13th month is a ValueError
        raise StageError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    name = "" if whole else section.__name__.lower()
    if not isinstance(values, dict) or (name and name not in values):
        raise StageError(f"{path} has no section {name or 'at all'}")
    try:
        # As JSON: strict mode then takes a list as a list, 1 as 1.0, and a date as text.
        text_json = json.dumps(values[name] if name else values, default=str)
        return section.model_validate_json(text_json)
    except ValidationError as error:
        messages = []
        for e in error.errors():
            keys = [*([name] if name else []), *e["loc"]]
            where = place(layers or {"": text}, keys, missing=e["type"] == "missing")
            messages.append(f"{where}: {_message(keys, e, values)}")
        raise StageError(f"{path}: " + "; ".join(messages)) from None
    except (TypeError, ValueError, RecursionError) as error:
        raise StageError(f"{path}: a key or value has no equal in JSON: {error}") from None


def expanded(path: str) -> str:
    """`path` with its $VARIABLES replaced.

    Raises:
        StageError: a variable is not set.
    """
    if not os.environ.keys() >= {*re.findall(r"\$\{?(\w+)", path, re.ASCII)}:
        raise StageError(
            f"{path}: that environment variable is not set here; set it, by a name NER_... or with"
            " its name in NER_PASS, or write the path"
        )
    return os.path.expandvars(path)


def place(layers: Mapping[str, str], keys: Sequence[str | int], missing: bool = False) -> str:
    """`FILE line N` of a key, or of its nearest parent that exists.

    Args:
        layers: as of `read`.
        keys: one below the other.
        missing: True if the key is in no layer: it belongs in the first.
    """
    deepest = (-1, "")
    for name, text in layers.items():
        depth, line = _line(yaml.compose(text, Loader=yaml.SafeLoader), keys)
        if depth > deepest[0] or (depth == deepest[0] and not missing):
            deepest = (depth, f"{name} line {line}".lstrip())
    return deepest[1]


def _line(node: Any, keys: Sequence[str | int]) -> tuple[int, int]:
    """How many of `keys` exist, each below the one before, and the line of the last that does."""
    line = 1
    for depth, key in enumerate(keys):
        inner = []
        if isinstance(node, yaml.MappingNode):
            inner = [(k.start_mark, v) for k, v in node.value if k.value == str(key)]
        elif isinstance(node, yaml.SequenceNode) and isinstance(key, int):
            inner = [(v.start_mark, v) for v in node.value[key : key + 1]]
        if not inner:
            return depth, line
        mark, node = inner[-1]
        line = mark.line + 1
    return len(keys), line


def _message(keys: Sequence[str | int], error: Any, values: Any) -> str:
    key = ".".join(map(str, keys))
    text = error["msg"].removeprefix("Value error, ")
    if error["type"] in ("missing", "value_error"):
        return f"{key}: {text}"
    value = repr(error["input"])
    if error["type"] == "extra_forbidden":
        return f"{key}: there is no such key{_similar(keys, values)} (it is {value})"
    if error["type"] == "float_type" and re.fullmatch(r"'[+-]?\d+e[+-]?\d+'", value, re.I):
        value += ", a string in YAML: write 5.0e-5 for 5e-5"
    return f"{key}: {text} (it is {value})"


def _similar(keys: Sequence[str | int], values: Any) -> str:
    """The key beside an unknown one that may be meant: params.yaml has every key there is."""
    for key in keys[:-1]:
        values = values[key]
    others = [key for key in values if key != keys[-1]]
    [*near] = get_close_matches(str(keys[-1]), map(str, others), n=1)
    return f", did you mean {near[0]}?" if near else ""
