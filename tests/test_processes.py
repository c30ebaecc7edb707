"""Processes that share work: alone nothing is exchanged, two tell one another all."""

import json
import time
from pathlib import Path

import pytest
import torch
from expect import refused
from together import ended, start_together

from glimpse.processes import ALONE, LostProcess, Processes, joined

CPU = torch.device("cpu")


@pytest.mark.parametrize("total", [0, 1, 2, 7, 50])
@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_shares_are_consecutive_all_and_nearly_equal(count: int, total: int) -> None:
    shares = [Processes(rank, count).share(total) for rank in range(count)]
    assert [k for share in shares for k in share] == list(range(total))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_alone_nothing_is_exchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with joined(CPU) as processes:
        assert processes is ALONE
        assert not torch.distributed.is_initialized()
        mine = torch.arange(3.0)
        assert torch.equal(processes.add(mine), mine)
        assert torch.equal(processes.gather(mine, 3), mine)
        processes.agree([mine])
    assert mine.tolist() == [0, 1, 2]
    assert (ALONE.leads, Processes(1, 2).leads) == (True, False)


TALK = """
import json, sys, torch
from glimpse.processes import joined
with joined(torch.device("cpu")) as processes:
    rank = processes.rank
    share = processes.share(5)
    square = torch.tensor([float(k * k) for k in share], dtype=torch.float64)
    mine = torch.tensor([1.0, float("nan") if rank else 2.0, 3.0 + rank])
    before = mine.clone()
    # The same numbers in another order in memory.
    grid = torch.arange(6.0).view(2, 3)
    grid = grid.t().contiguous().t() if rank else grid
    images = torch.arange(16.0).view(1, 4, 2, 2).contiguous(memory_format=torch.channels_last)
    images = images if rank else images.contiguous()
    agreed = [torch.full((2,), rank + 1.0), torch.tensor(7 - 3 * rank), images * (rank == 0)]
    processes.agree(agreed)
    print(json.dumps({
        "rank": rank, "count": processes.count, "share": list(share),
        "gathered": processes.gather(square, 5).tolist(),
        "none": processes.gather(torch.ones(len(processes.share(1))), 1).tolist(),
        "sum": processes.add(mine).nan_to_num(nan=-1).tolist(),
        "kept": torch.equal(mine.nan_to_num(), before.nan_to_num()),
        "grid": processes.add(grid).tolist(),
        "agreed": [part.flatten().tolist() for part in agreed],
        "types": [str(part.dtype) for part in agreed],
    }))
assert not torch.distributed.is_initialized()
"""


def test_two_processes_tell_one_another(tmp_path: Path) -> None:
    results = ended(start_together(["-W", "error::UserWarning", "-c", TALK], tmp_path))
    assert [result.code for result in results] == [0, 0], results
    told = [json.loads(result.out) for result in results]
    for rank, one in enumerate(told):
        assert (one["rank"], one["count"]) == (rank, 2)
        assert one["gathered"] == [0, 1, 4, 9, 16]
        assert one["none"] == [1]
        assert one["sum"] == [2, -1, 7]  # NaN of one is NaN of all
        assert one["kept"]
        assert one["grid"] == [[0, 2, 4], [6, 8, 10]]
        assert one["agreed"] == [[1, 1], [7], list(range(16))]
        assert one["types"] == ["torch.float32", "torch.int64", "torch.float32"]
    assert told[0]["share"] + told[1]["share"] == list(range(5))


LEAVE = """
import os, sys, torch
from glimpse.processes import LostProcess, joined
try:
    with joined(torch.device("cpu")) as processes:
        processes.add(torch.ones(2))
        if processes.rank == 1:
            os._exit(9)
        processes.add(torch.ones(2))
except LostProcess as error:
    print(error)
    sys.exit(3)
"""


def test_a_process_that_dies_is_an_error_of_the_other(tmp_path: Path) -> None:
    start = time.monotonic()
    left, dead = ended(start_together(["-c", LEAVE], tmp_path))
    assert time.monotonic() - start < 60  # far less than the patience
    assert (left.code, dead.code) == (3, 9), (left, dead)
    assert left.out.startswith("all 2 processes must answer, got an error instead (")
    assert left.out.endswith("): a process is lost; go on with --resume\n")
    assert left.out.count("\n") == 1


def test_fellows_that_never_come_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    told = {"WORLD_SIZE": "2", "RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    with refused("all 2 processes must come, got an error instead ("), joined(CPU, 1.0):
        pytest.fail("nobody came")
    assert not torch.distributed.is_initialized()
    assert issubclass(LostProcess, ValueError)  # so the command prints one line
