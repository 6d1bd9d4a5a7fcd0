"""Lists the files of a model on the Hugging Face hub, with their hashes.

The hub's client gives the list and the headers; `fetch` then downloads. The client's own download
checks only sizes, and has its own time limits, retries and cache.
"""

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx

from stages.contract.errors import StageError
from stages.fetching.client import network_problem
from stages.fetching.transfer import RETRIED, Tries, pause_s, transport_cause
from stages.params.download import Encoder, Source

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoSibling

REMEDY = "try again, set HF_ENDPOINT to a mirror, or name a copy in download.encoder.folder"


@dataclass(frozen=True)
class Model:
    """One revision of a model."""

    where: str  # for messages: hub id, revision and endpoint
    files: dict[str, Source | None]  # None: the hub has no hash
    headers: dict[str, str]  # with the user's token, if there is one


def on_the_hub(hub_id: str, encoder: Encoder, timeout_s: float, attempts: int) -> Model:
    """Asks the hub at HF_ENDPOINT for the files of `hub_id` at the encoder's revision.

    Raises:
        StageError: there is no such model or revision, it needs permission, or the hub cannot be
            reached.
    """
    # Else the client first asks the hub for a list of AI agents, and reports if one runs it.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    # Imported late: it reads this variable, HF_ENDPOINT and others when it is imported.
    from huggingface_hub import HfApi, hf_hub_url
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    hub = HfApi()
    if "@" in urlsplit(hub.endpoint).netloc:
        raise StageError(
            "HF_ENDPOINT has a password, which reports would show: use HF_TOKEN instead"
        )
    where = f"{hub_id} at revision {encoder.revision} on {hub.endpoint}"
    if problem := network_problem():
        raise StageError(f"{where} cannot be asked: {problem}")
    files = {}
    for file in _files(hub, hub_id, encoder.revision, where, timeout_s, attempts):
        name = file.rfilename
        address = hf_hub_url(hub_id, name, revision=encoder.revision, endpoint=hub.endpoint)
        files[name] = _source(file, address, encoder.sha256.get(name))
    return Model(where, files, build_hf_headers())


def _files(
    hub: "HfApi", hub_id: str, revision: str | None, where: str, timeout_s: float, attempts: int
) -> "list[RepoSibling]":
    from huggingface_hub import errors

    cause = ""
    tries = Tries(attempts)
    for _ in tries:
        try:
            model = hub.model_info(
                hub_id, revision=revision, files_metadata=True, timeout=timeout_s
            )
            return model.siblings or []
        except httpx.RequestError as error:
            cause = transport_cause(error, timeout_s)
        except errors.OfflineModeIsEnabled:
            raise StageError(
                f"{where} cannot be reached, HF_HUB_OFFLINE is set: unset it, or name a copy in "
                "download.encoder.folder"
            ) from None
        except errors.GatedRepoError:
            raise StageError(
                f"{where} is gated: accept its terms there and set HF_TOKEN, or name a copy in "
                "download.encoder.folder"
            ) from None
        except errors.RepositoryNotFoundError:
            raise StageError(
                f"{where}: there is no such model, or a private one: check "
                "download.encoder.hub_id, or set HF_TOKEN"
            ) from None
        except errors.RevisionNotFoundError:
            raise StageError(
                f"{where}: the model has no such revision: check download.encoder.revision"
            ) from None
        except errors.HfHubHTTPError as error:
            status = error.response.status_code
            cause = f"it answered {status} {error.response.reason_phrase}".rstrip()
            if status not in RETRIED:
                break
            try:
                tries.least_pause_s = pause_s(error.response.headers, timeout_s, cause)
            except StageError as too_long:
                cause = f"{too_long}; with HF_TOKEN the hub allows more requests"
                break
        except (ValueError, LookupError, TypeError):
            # A malformed hub id, or an answer of another server, such as a login page.
            cause = "this is not a hub id, or the server is not a hub"
            break
    raise StageError(f"{where}: {cause}; {REMEDY}")


def _source(file: "RepoSibling", address: str, sha256: str | None) -> Source | None:
    """`file` as a source, None without a hash. With LFS, Git's hash is that of the pointer."""
    sha256 = sha256 or (file.lfs.sha256 if file.lfs else None)
    git_blob = None if file.lfs else file.blob_id
    if not (sha256 or git_blob):
        return None
    return Source(sources=[address], bytes=file.size or None, git_blob=git_blob, sha256=sha256)
