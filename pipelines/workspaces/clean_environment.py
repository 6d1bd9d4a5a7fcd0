"""The environment of commands that run a commit's code: listed variables, not all of ours."""

import os
import re

from pipelines.errors import PipelineError

MORE = "NER_PASS"  # names of further variables, for one host
# docs/operations.md, "What a stage sees of the environment", describes both lists.
NEEDED = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|TERM|TZ|TMPDIR|LANG|LANGUAGE|LC_\w+|XDG_\w+"
    r"|NER_\w+|HF_(TOKEN|TOKEN_PATH|HOME|ENDPOINT|HUB_\w+|DATASETS_\w+|XET_\w+)"
    r"|DO_NOT_TRACK|MLFLOW_DISABLE_TELEMETRY"
    r"|(https?|all|no)_proxy|(HTTPS?|ALL|NO)_PROXY"
    r"|SSL_CERT_(FILE|DIR)|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE"
    r"|PYTHON\w+|VIRTUAL_ENV|LD_LIBRARY_PATH|LD_PRELOAD|SOURCE_DATE_EPOCH"
    r"|(CUDA|CUDNN|CUBLAS|NVIDIA|NCCL|GLOO|TORCH|TORCHINDUCTOR|PYTORCH|TRITON|ORT|MALLOC)_\w+"
    r"|(OMP|KMP|GOMP|MKL|OPENBLAS|NUMEXPR|TOKENIZERS|TRANSFORMERS|SAFETENSORS)_\w+"
    r"|PET_\w+"  # torchrun's
    r"|DVC_(NO_ANALYTICS|(SITE_CACHE|(SYSTEM|GLOBAL)_CONFIG)_DIR)"
    r"|(DOCKER_(HOST|CONTEXT|CONFIG|CERT_PATH|TLS_VERIFY)|CONTAINER_HOST|CONTAINERS_\w+)"
    r"|DBUS_SESSION_BUS_ADDRESS",  # by which a user's podman starts containers
)
OF_REMOTES = re.compile(
    r"(AWS|AZURE|GOOGLE|GCLOUD|CLOUDSDK|OSS|HADOOP|KRB5)_\w+|KRB5CCNAME|JAVA_HOME|SSH_AUTH_SOCK"
)


def make(remotes: bool = False) -> dict[str, str]:
    """The variables that a stage needs, and with `remotes` the keys of DVC remotes.

    NER_PASS, a list of names separated by commas, adds variables.

    Raises:
        PipelineError: if NER_PASS names a variable that is not set.
    """
    more = set(filter(None, re.split(r"[,\s]+", os.environ.get(MORE, ""))))
    if unset := sorted(more - os.environ.keys()):
        raise PipelineError(
            f"{MORE} names {', '.join(unset)}, which is not set: set it, or take it out of {MORE}"
        )
    return {
        key: value
        for key, value in os.environ.items()
        if NEEDED.fullmatch(key) or key in more or (remotes and OF_REMOTES.fullmatch(key))
    }
