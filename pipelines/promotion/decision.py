"""Records which promotions are decided, so that none is evaluated twice."""

import hashlib
import json

from pipelines.registry import keys
from pipelines.registry.registry import Registry
from pipelines.settings import Promote

DECIDED = f"{keys.PROGRAMS}promotion.decided"  # a tag of a version


def decide(registry: Registry, version: str, settings: Promote, champion: str | None) -> None:
    """Records on the version that these gates were evaluated against this champion."""
    registry.client.set_model_version_tag(
        registry.model, version, DECIDED, _key(settings, champion)
    )


def decided(registry: Registry, version: str, settings: Promote, champion: str | None) -> bool:
    """True if `decide` recorded the same gates and the same champion."""
    tags = keys.tags(registry.client.get_model_version(registry.model, version))
    return bool(tags.get(DECIDED.removeprefix(keys.PROGRAMS)) == _key(settings, champion))


def _key(settings: Promote, champion: str | None) -> str:
    inputs = json.dumps([settings.model_dump(), champion], sort_keys=True)
    return hashlib.sha256(inputs.encode()).hexdigest()
