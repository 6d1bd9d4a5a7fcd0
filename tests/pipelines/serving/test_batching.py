"""Batches: who shares one, in which order, by which version, and when no more is taken."""

import asyncio
import gc
import threading
import weakref

import pytest

from pipelines.serving import batching
from pipelines.serving.batching import BATCH_TEXTS, Batcher, Overloaded
from pipelines.serving.loading import Loaded
from pipelines.serving.metrics import Metrics


class Model:
    """Answers a text with itself, keeps each batch, and works only while it may."""

    def __init__(self, version: str) -> None:
        self.batches: list[list[str]] = []
        self.may = threading.Event()
        self.may.set()
        self.loaded = Loaded(version, "CPUExecutionProvider", self.answer)

    def answer(self, texts: list[str]) -> list[dict]:
        self.batches.append(list(texts))
        assert self.may.wait(20)
        if "broken" in texts:
            raise ValueError("broken")
        return [{"entities": [], "error": None, "text": text} for text in texts]


@pytest.fixture(autouse=True)
def _in_threads(monkeypatch):
    """So that a test may hold the model and go on itself."""
    monkeypatch.setattr(batching, "INLINE_S", 0.0)


def in_loop(scenario, *models: Model) -> None:
    """Runs `scenario(batcher)` while the first of the models serves."""

    async def main() -> None:
        batcher = Batcher(models[0].loaded, Metrics())
        work = asyncio.create_task(batcher.run())
        try:
            await asyncio.wait_for(scenario(batcher), 20)
        finally:
            work.cancel()

    asyncio.run(main())


async def held(model: Model, batcher: Batcher, text: str = "first") -> "asyncio.Task":
    """A request that the model is at, while others come."""
    model.may.clear()
    first = asyncio.create_task(batcher.answer([text]))
    while not model.batches:
        await asyncio.sleep(0)
    return first


async def come(batcher: Batcher, *requests: list[str]) -> list["asyncio.Task"]:
    tasks = [asyncio.create_task(batcher.answer(texts)) for texts in requests]
    await asyncio.sleep(0)
    return tasks


def test_what_gathers_while_the_model_works_goes_together_and_a_long_request_waits_its_turn():
    model = Model("1")
    many = [f"m{number}" for number in range(BATCH_TEXTS + 10)]

    async def scenario(batcher: Batcher) -> None:
        tasks = [await held(model, batcher), *await come(batcher, many, ["a"], ["b", "c"])]
        model.may.set()
        answers = [[row["text"] for row in (await task)[0]] for task in tasks]
        assert answers == [["first"], many, ["a"], ["b", "c"]]

    in_loop(scenario, model)
    rest = ["a", "b", "c", *many[BATCH_TEXTS:]]
    assert model.batches == [["first"], many[:BATCH_TEXTS], rest]


def test_a_request_is_answered_by_the_version_that_served_when_it_came():
    old, new = Model("1"), Model("2")

    async def scenario(batcher: Batcher) -> None:
        tasks = [await held(old, batcher), *await come(batcher, ["before"])]
        batcher.swap(new.loaded)
        tasks += await come(batcher, ["after"])
        old.may.set()
        assert [(await task)[1] for task in tasks] == ["1", "1", "2"]

    in_loop(scenario, old, new)
    assert (old.batches, new.batches) == ([["first"], ["before"]], [["after"]])


@pytest.mark.parametrize("text", ["first", "broken"])
def test_nothing_keeps_the_old_version_after_its_last_request(text):
    old, new = Model("1"), Model("2")
    gone = weakref.ref(old.loaded)

    async def scenario(batcher: Batcher) -> None:
        first = await held(old, batcher, text)
        batcher.swap(new.loaded)
        model = old
        model.loaded = None
        model.may.set()
        await asyncio.wait([first])
        assert bool(first.exception()) == (text == "broken")
        del first
        while gone():  # the model's thread may still have the error, with all its frames
            await asyncio.sleep(0.01)
            gc.collect()

    in_loop(scenario, old, new)


def test_more_than_it_holds_is_refused_until_there_is_room(monkeypatch):
    monkeypatch.setattr(batching, "WAITING_CHARACTERS", 10)
    model = Model("1")

    async def scenario(batcher: Batcher) -> None:
        first = await held(model, batcher)
        waiting = await come(batcher, ["x" * 8])
        with pytest.raises(Overloaded, match="try again in") as refused:
            await batcher.answer(["xxx"])
        assert 1 <= refused.value.retry_after_s <= 60
        model.may.set()
        await asyncio.gather(first, *waiting)
        assert (await batcher.answer(["x" * 99]))[1] == "1"  # nothing waits: any size is taken

    in_loop(scenario, model)


def test_a_request_that_is_given_up_makes_room_and_is_not_answered():
    model = Model("1")

    async def scenario(batcher: Batcher) -> None:
        first = await held(model, batcher)
        [given_up, other] = await come(batcher, ["given up"], ["other"])
        given_up.cancel()
        await asyncio.sleep(0)
        model.may.set()
        await asyncio.gather(first, other)

    in_loop(scenario, model)
    assert model.batches == [["first"], ["other"]]


def test_an_error_of_the_model_is_that_of_its_batch_alone():
    model = Model("1")

    async def scenario(batcher: Batcher) -> None:
        with pytest.raises(ValueError, match="broken"):
            await batcher.answer(["broken"])
        assert (await batcher.answer(["whole"]))[0][0]["text"] == "whole"

    in_loop(scenario, model)


def test_a_long_text_is_answered_beside_the_short_ones():
    model = Model("1")
    long = "x" * (batching.BATCH_CHARACTERS + 1)

    async def scenario(batcher: Batcher) -> None:
        rows, _ = await batcher.answer(["a", long, "b"])
        assert [row["text"] for row in rows] == ["a", long, "b"]

    in_loop(scenario, model)
    assert sorted(model.batches, key=len) == [[long], ["a", "b"]]
