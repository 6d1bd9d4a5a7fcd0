"""Trains in several processes, one per GPU: torchrun starts them, DDP averages the gradients."""

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
EVALUATION = timedelta(hours=1)  # the others wait while rank 0 evaluates, slow on a CPU


@dataclass(frozen=True)
class Ranks:
    """This process's rank among `count` processes; a single process is 0 of 1."""

    rank: int
    count: int

    @property
    def first(self) -> bool:
        """True in rank 0, which evaluates, writes and prints."""
        return self.rank == 0

    @property
    def several_hosts(self) -> bool:
        """True if torchrun started ranks on more than one host."""
        return int(os.environ.get("GROUP_WORLD_SIZE", 1)) > 1

    def broadcast(self, value: T) -> T:
        """Returns rank 0's `value` in every rank; every rank must call it."""
        if self.count == 1:
            return value
        values = [value]
        distributed.broadcast_object_list(values)
        return values[0]

    def all_equal(self, value: int) -> bool:
        """True if every rank has the same `value`; every rank must call it."""
        values = [None] * self.count
        if self.count > 1:
            distributed.all_gather_object(values, value)
        return self.count == 1 or len({*values}) == 1

    def mean(self, value: torch.Tensor) -> float:
        """The mean over the ranks, which changes `value`; every rank must call it."""
        if self.count > 1:
            distributed.all_reduce(value)
        return value.item() / self.count

    def wrap(self, model: torch.nn.Module) -> torch.nn.Module:
        """Wraps the model in DDP: its backward averages the gradients over the ranks."""
        if self.count == 1:
            return model
        # Made on a GPU's default stream, it could not be captured in a CUDA graph.
        on_gpu = next(model.parameters()).is_cuda
        with torch.cuda.stream(torch.cuda.Stream()) if on_gpu else nullcontext():  # type: ignore[no-untyped-call]
            ddp = DistributedDataParallel(model, gradient_as_bucket_view=True)
        ddp.broadcast_buffers = False  # the argument's name changed in torch 2.13
        return ddp


SINGLE = Ranks(rank=0, count=1)


@contextmanager
def process_group(device: torch.device) -> Iterator[Ranks]:
    """Joins the ranks that torchrun started; without torchrun, this process alone."""
    ranks = Ranks(int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1)))
    if ranks.count == 1:
        yield ranks
        return
    # NVLink multicast fails on hosts whose switch is shared among containers.
    os.environ.setdefault("NCCL_NVLS_ENABLE", "0")
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=EVALUATION)
    yield ranks
    # Not after an error: it would wait for the other ranks.
    distributed.destroy_process_group()


def process_count(gpus: int | str, device: torch.device) -> int:
    """How many processes to start here for `train.gpus`; `auto` is one on the CPU.

    Raises:
        StageError: `gpus` exceeds the GPUs that are visible.
    """
    visible = torch.cuda.device_count() if device.type == "cuda" else 1
    if isinstance(gpus, str):
        return visible
    if device.type == "cuda" and gpus > visible:
        raise StageError(
            f"train.gpus is {gpus}, but {visible} are visible: lower it or set it to auto"
        )
    return gpus


def run(count: int, module: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
    """Runs `work` here, or starts `count` processes `python -m module` that run it.

    With more than one node (PET_NNODES, PET_RDZV_ENDPOINT and torchrun's other variables) each node
    starts its own processes. Returns what `work` returns in a single process or rank 0, else None.

    Raises:
        StageError: a rank failed, with the error of the first; all other ranks are ended.
    """
    if "RANK" in os.environ:
        return _as_rank(work)
    one_node = os.environ.get("PET_NNODES", "1") == "1"
    if count == 1 and one_node:
        return work()
    # Imported only here: it takes half a second.
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import parse_args
    from torch.distributed.run import run as torchrun

    logging.disable()  # torchrun repeats the error at length
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # else torchrun sets it and prints that
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    try:
        # Without it torchrun uses a fixed port, which another training may use.
        rendezvous = ["--standalone"] if one_node else []
        arguments = [*rendezvous, "--nproc-per-node", str(count), "--module", module]
        torchrun(parse_args(arguments))  # type: ignore[no-untyped-call]
    except SignalException as end:
        sys.exit(128 + end.sigval)
    except ChildFailedError as error:
        raise StageError(_failure_message(error.failures)) from None
    finally:
        logging.disable(logging.NOTSET)
    return None


def _as_rank(work: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
    from torch.distributed.elastic.multiprocessing.errors import get_error_handler

    threading.Thread(target=_exit_with_parent, args=[os.getppid()], daemon=True).start()
    handler = get_error_handler()
    handler.initialize()
    try:
        measured = work()
    except Exception as error:
        handler.record_exception(error)
        if "TORCHELASTIC_ERROR_FILE" not in os.environ:  # not started by torchrun
            traceback.print_exc()
        # The process that started the ranks prints the error once, and already ends the others.
        os._exit(1)
    return measured if os.environ["RANK"] == "0" else None


def _exit_with_parent(parent: int) -> None:
    """A rank has its own session, so a signal to its parent's process group does not reach it."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(128 + signal.SIGKILL)


def _failure_message(failures: dict[int, Any]) -> str:
    """The message of the rank that failed first; the others then failed because of it."""
    errors = {
        rank: failure.message if isinstance(failure.message, dict) else {"message": failure.message}
        for rank, failure in failures.items()
    }

    def order(rank: int) -> tuple[bool, bool, int]:
        own = errors[rank]["message"].startswith("StageError: ")
        return not own, failures[rank].exitcode > 0, failures[rank].timestamp

    first = min(errors, key=order)
    message: str = errors[first]["message"]
    if message.startswith("StageError: "):
        return message.removeprefix("StageError: ")
    print(errors[first].get("extraInfo", {}).get("py_callstack", ""), end="", file=sys.stderr)
    return f"rank {first} ended, and all others with it: {message}"
