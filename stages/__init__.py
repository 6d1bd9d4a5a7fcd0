"""The five stages: pure functions, files in, files out; no DVC, Prefect or MLflow here."""

import gc
import sys

# In the process of a stage, `python -m stages.NAME`, before its imports; not where it is imported.
# No stage depends on this file in dvc.yaml: what comes out must be the same without it.
if sys.argv[:1] == ["-m"] and __name__ == "stages":
    # Imports make many objects and no garbage: 10 % of their time. `command` switches it on again.
    gc.disable()
    # transformers would import them where they are installed, as they are not in the image, and
    # make no use of them: 10 % again.
    sys.modules.update(dict.fromkeys(("accelerate", "scipy"), None))  # type: ignore[arg-type]
