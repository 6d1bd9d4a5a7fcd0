"""Converts an encoder's pickled weights to safetensors: `python -m stages.fetching.pickled FOLDER`.

`download` has the network and the hub's token, so it never reads a pickle. This does it once, where
neither is needed, and with `weights_only`, which builds nothing but tensors.
"""

import pickle  # noqa: TID251 - only for its error
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from stages.contract.errors import StageError
from stages.contract.outs import whole
from stages.fetching.weights import PICKLE, WHOLE


def convert(folder: Path) -> Path:
    """Writes `folder`/model.safetensors from its pytorch_model.bin, or from all its parts.

    Raises:
        StageError: there is none, or one is broken or has more than tensors.
    """
    files = sorted(folder.glob(PICKLE))
    if not files:
        raise StageError(f"{folder} has no {PICKLE}")
    weights: dict[str, torch.Tensor] = {}
    for path in files:
        try:
            weights |= torch.load(path, map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
            first = (str(error).splitlines() or [""])[0]
            raise StageError(f"{path} is broken, or has more than tensors: {first}") from None
    with whole(folder / WHOLE) as [out]:
        # Clones, because safetensors refuses tensors that share memory, such as tied weights.
        save_file({n: w.clone().contiguous() for n, w in weights.items()}, out, {"format": "pt"})
    return folder / WHOLE


def main() -> None:
    """Converts the folder that the command line names."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m stages.fetching.pickled FOLDER")
    try:
        print(f"wrote {convert(Path(sys.argv[1]))}")
    except StageError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
