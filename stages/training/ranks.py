"""Training by several processes, one a GPU: torchrun starts them, DDP adds up their gradients."""

import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from stages.contract.errors import StageError

T = TypeVar("T")
EVALUATION = timedelta(hours=1)  # the others wait while rank 0 evaluates, on a CPU for long


@dataclass(frozen=True)
class Ranks:
    """Which process this is, of how many; alone it is 0 of 1."""

    rank: int
    count: int

    @property
    def first(self) -> bool:
        """Whether it is the one that evaluates, writes and says things."""
        return self.rank == 0

    def from_first(self, value: T) -> T:
        """What rank 0 calls this with; every rank must call it."""
        if self.count == 1:
            return value
        values = [value]
        distributed.broadcast_object_list(values)
        return values[0]

    def all_same(self, value: int) -> bool:
        """Whether every rank calls this with the same."""
        values = [None] * self.count
        if self.count > 1:
            distributed.all_gather_object(values, value)
        return self.count == 1 or len({*values}) == 1

    def mean(self, value: torch.Tensor) -> float:
        """Over the ranks; every rank must call it."""
        if self.count > 1:
            distributed.all_reduce(value)
        return value.item() / self.count

    def wrapped(self, model: torch.nn.Module) -> torch.nn.Module:
        """The model whose backward averages the gradients over the ranks, as they come."""
        if self.count == 1:
            return model
        # On a GPU's default stream it could not be captured in a CUDA graph.
        on_gpu = next(model.parameters()).is_cuda
        with torch.cuda.stream(torch.cuda.Stream()) if on_gpu else nullcontext():  # type: ignore[no-untyped-call]
            wrapped = DistributedDataParallel(model, gradient_as_bucket_view=True)
        wrapped.broadcast_buffers = False  # the argument's name changed in torch 2.13
        return wrapped


ALONE = Ranks(rank=0, count=1)


@contextmanager
def joined(device: torch.device) -> Iterator[Ranks]:
    """The ranks that torchrun started and that this is one of, or this process alone."""
    ranks = Ranks(int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1)))
    if ranks.count == 1:
        yield ranks
        return
    # Multicast over NVLink fails on hosts that share their switch among containers.
    os.environ.setdefault("NCCL_NVLS_ENABLE", "0")
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=EVALUATION)
    yield ranks
    # Not where a rank failed: it would wait for the others.
    distributed.destroy_process_group()


def processes(gpus: int | str, device: torch.device) -> int:
    """How many to start here for `train.gpus`: on the CPU one for `auto`.

    Raises:
        StageError: more than there are GPUs.
    """
    found = torch.cuda.device_count() if device.type == "cuda" else 1
    if isinstance(gpus, str):
        return found
    if device.type == "cuda" and gpus > found:
        raise StageError(
            f"train.gpus is {gpus}, and {found} are visible: lower it or set it to auto"
        )
    return gpus


def run(count: int, module: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
    """Does `work` here, or starts `count` processes `python -m module` that do.

    With more than one node (PET_NNODES, PET_RDZV_ENDPOINT and torchrun's other variables) each
    starts its own. Returns what `work` returns in a process that is alone or rank 0, else None.

    Raises:
        StageError: what ended the first rank that failed; all others are ended then.
    """
    if "RANK" in os.environ:
        return _as_rank(work)
    one_node = os.environ.get("PET_NNODES", "1") == "1"
    if count == 1 and one_node:
        return work()
    # Imported where it is needed: it takes half a second.
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import parse_args
    from torch.distributed.run import run as torchrun

    logging.disable()  # of torchrun, which tells the same at length
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # else torchrun sets it and says so
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    try:
        # Else it listens at one port of the host's, which another training may have.
        meet = ["--standalone"] if one_node else []
        arguments = [*meet, "--nproc-per-node", str(count), "--module", module]
        torchrun(parse_args(arguments))  # type: ignore[no-untyped-call]
    except SignalException as end:
        sys.exit(128 + end.sigval)
    except ChildFailedError as error:
        raise StageError(_said(error.failures)) from None
    finally:
        logging.disable(logging.NOTSET)
    return None


def _as_rank(work: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
    from torch.distributed.elastic.multiprocessing.errors import get_error_handler

    threading.Thread(target=_end_with, args=[os.getppid()], daemon=True).start()
    handler = get_error_handler()
    handler.initialize()
    try:
        measured = work()
    except Exception as error:
        handler.record_exception(error)
        if "TORCHELASTIC_ERROR_FILE" not in os.environ:  # something else than torchrun started it
            traceback.print_exc()
        # What was wrong is said once, by who started the ranks and ends the others already.
        os._exit(1)
    return measured if os.environ["RANK"] == "0" else None


def _end_with(parent: int) -> None:
    """A rank has a session of its own, so what kills the group of its parent does not reach it."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(128 + signal.SIGKILL)


def _said(failures: dict[int, Any]) -> str:
    """Of the rank that failed first; that the others then lost it is no news."""
    told = {
        rank: failure.message if isinstance(failure.message, dict) else {"message": failure.message}
        for rank, failure in failures.items()
    }

    def order(rank: int) -> tuple[bool, bool, int]:
        own = told[rank]["message"].startswith("StageError: ")
        return not own, failures[rank].exitcode > 0, failures[rank].timestamp

    first = min(told, key=order)
    message: str = told[first]["message"]
    if message.startswith("StageError: "):
        return message.removeprefix("StageError: ")
    print(told[first].get("extraInfo", {}).get("py_callstack", ""), end="", file=sys.stderr)
    return f"rank {first} ended, and all others with it: {message}"
