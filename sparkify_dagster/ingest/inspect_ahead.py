"""Inspects days ahead of their load: on one core in a thread, on several in a process per core."""

from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date
from queue import SimpleQueue
from typing import TypeAlias

from sparkify_dagster.batches import InspectedDay, StoredObject
from sparkify_dagster.runtime.cores import available_cores
from sparkify_dagster.sources.events import EventInspector
from sparkify_dagster.sources.inspection_process import InspectionProcess

# This much of the source, decompressed, is loaded per transaction: a warehouse takes a few large loads faster than many
# small ones. What comes from S3 is kept in memory in the meantime.
BATCH_BYTES = 256 << 20
# As much again is inspected ahead by one core, and twice as much by more, so that two of them have large days to do.
AHEAD_BYTES = (BATCH_BYTES, 2 * BATCH_BYTES)
# A process is ready after half a second, in which one core inspects 75 MB.
BYTES_PER_PROCESS = 100 << 20
# Logs compress to a tenth, so this is rather too much. The size is known when the file has been read.
INFLATION = 12
# Eight cores inspect faster than a warehouse on the same machine loads.
MAX_PROCESSES = 8

Submit: TypeAlias = Callable[[date, Sequence[StoredObject]], Future[InspectedDay]]


def inspect_ahead(
    inspector: EventInspector, objects: Mapping[date, Sequence[StoredObject]], processes: int | None = None
) -> Generator[Sequence[InspectedDay]]:
    """Yields the days in their order, in batches of BATCH_BYTES, and inspects the days after them meanwhile.

    Without `processes`, there are as many as the cores and the size of the files call for. Raises SourceError.
    """
    processes = processes or process_count(objects)
    most_ahead = AHEAD_BYTES[processes > 1]
    remaining = deque(objects.items())
    inspecting: deque[_Inspecting] = deque()
    batch: list[InspectedDay] = []
    batch_bytes = 0
    with _inspection(inspector, processes) as submit:

        def fill() -> None:
            if not remaining:
                # The sum of thousands of small days, once per day, would take longer than their inspection.
                return
            ahead = sum(day.inflated_bytes for day in inspecting)
            while remaining and (not inspecting or ahead + _inflated(remaining[0][1]) <= most_ahead):
                inspecting.append(_Inspecting(_inflated(remaining[0][1]), submit(*remaining.popleft())))
                ahead += inspecting[-1].expected_bytes

        while remaining or inspecting:
            fill()
            batch.append(inspecting.popleft().future.result())
            batch_bytes += batch[-1].inflated_bytes
            if batch_bytes >= BATCH_BYTES:
                fill()
                yield batch
                batch, batch_bytes = [], 0
        if batch:
            yield batch


def process_count(objects: Mapping[date, Sequence[StoredObject]]) -> int:
    """Returns how many processes are worth their start for the days; 1 stands for this process itself."""
    expected = sum(map(_inflated, objects.values()))
    return max(1, min(available_cores(), MAX_PROCESSES, len(objects), expected // BYTES_PER_PROCESS))


def _inflated(files: Sequence[StoredObject]) -> int:
    """Returns about how large the files are when they are decompressed."""
    return sum(file.size * (INFLATION if file.key.endswith(".gz") else 1) for file in files)


@dataclass(frozen=True)
class _Inspecting:
    expected_bytes: int
    future: Future[InspectedDay]

    @property
    def inflated_bytes(self) -> int:
        if self.future.done() and not self.future.exception():
            return self.future.result().inflated_bytes
        return self.expected_bytes


@contextmanager
def _inspection(inspector: EventInspector, processes: int) -> Iterator[Submit]:
    """Yields what inspects a day in the background; at the end of the block nothing is inspected any more."""
    if processes == 1:
        with ThreadPoolExecutor(1, thread_name_prefix="inspection") as thread:
            try:
                yield lambda day, files: thread.submit(inspector.inspect, day, files)
            finally:
                thread.shutdown(wait=False, cancel_futures=True)
        return
    idle: SimpleQueue[InspectionProcess] = SimpleQueue()

    def inspect(day: date, files: Sequence[StoredObject]) -> InspectedDay:
        # Without a folder the process has no access to the files: it is given no credentials.
        given = files if inspector.folder else [inspector.read(file) for file in files]
        process = idle.get()
        try:
            return process.inspect(day, given)
        finally:
            idle.put(process)

    with ExitStack() as at_end:
        started = []
        for _ in range(processes):
            started.append(InspectionProcess(inspector.rules, inspector.folder))
            at_end.callback(started[-1].close)
            idle.put(started[-1])
        # Each thread waits for a process; some read from S3 what the processes inspect next.
        count = processes if inspector.folder else 2 * processes
        threads = at_end.enter_context(ThreadPoolExecutor(count, thread_name_prefix="inspection"))
        try:
            yield lambda day, files: threads.submit(inspect, day, files)
        finally:
            threads.shutdown(wait=False, cancel_futures=True)
            for process in started:
                process.kill()
