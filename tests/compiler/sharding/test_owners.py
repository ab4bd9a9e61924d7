"""Owners: who is dealt what, groups for what is too large for one, and caps on bytes."""

import pytest

import normdsl as nd
from normdsl.algorithms import muon, shampoo
from normdsl.compiler.lowering.program import lower
from normdsl.compiler.sharding import jobs, owners
from normdsl.compiler.sharding.owners import CapError, Job, dealt, group_size, members, number, work
from normdsl.compiler.sharding.setting import setting_of
from normdsl.errors import DeclarationError

LONG, SQUARE = (2**17, 2048), (2048, 2048)
POLAR = nd.Schedule(polar=nd.jordan())


def loads(jobs, found, processes):
    """Return the work and the bytes of each process."""
    told = [[0, 0] for _ in range(processes)]
    for job, owner in zip(jobs, found, strict=True):
        among = members(owner, processes)
        for k in among:
            told[k][0] += work(job.size, len(among))
            told[k][1] += job.bytes / len(among)
    return told


def test_groups_are_equal_parts_of_neighbours():
    assert [group_size(k, 8) for k in (1, 2, 7, 8, 9, 12, 13, 64)] == [1, 2, 7, 8, 3, 6, 1, 8]
    assert [*members(3, 16)] == [3]
    assert [[*members(k, 16)] for k in (7 * 16, 8 + 7 * 16)] == [[*range(8)], [*range(8, 16)]]


def test_the_costliest_goes_to_who_has_least():
    given = [Job((8, k)) for k in (3, 5, 8, 2, 7)]
    assert dealt(given, 2) == [0, 1, 0, 1, 1]
    assert dealt(given[:1], 3, [(Job((8, 8)), 0), (Job((8, 2)), 1)]) == [2]


def test_what_is_too_large_for_one_turn_is_owned_by_a_group():
    given = [Job(LONG, group=8), *[Job(SQUARE, group=8)] * 64]
    found = dealt(given, 64)
    assert found[0] >= 64
    assert all(k < 64 for k in found[1:])
    alone = dealt([Job(job.size) for job in given], 64)
    busiest = [max(x for x, _ in loads(given, each, 64)) for each in (found, alone)]
    assert busiest[0] * 4 < busiest[1]


@pytest.mark.parametrize(
    ("count", "processes", "size"),
    [
        (64, 8, LONG),  # each process has several: nobody waits for one
        (1, 8, (256, 256)),  # nothing is gained that pays for more collectives
        (1, 13, LONG),  # no group divides the processes
    ],
)
def test_what_is_not_stays_with_an_owner(count, processes, size):
    group = group_size(processes, 8)
    assert max(dealt([Job(size, group=group)] * count, processes)) < processes
    assert max(dealt([Job(size)] * count, processes)) < processes


def test_groups_have_owners_that_they_had():
    given = [Job(LONG, group=8)] * 2
    first, second = dealt(given, 16)
    assert (first, second) == (number(0, 8, 16), number(8, 8, 16))
    assert dealt(given[:1], 16, [(given[1], first)]) == [second]
    rest = dealt([Job(SQUARE)] * 8, 16, [(given[0], first)])
    assert sorted(rest) == [*range(8, 16)]


def test_no_process_has_more_bytes_than_the_cap():
    wide = [Job((512, 2048), 4), *[Job((2048, 2048), 4)] * 3] + [Job((64, 64), 4)] * 12
    free, capped = dealt(wide, 4), dealt(wide, 4, cap=16)
    assert max(x for _, x in loads(wide, free, 4)) > 16
    assert max(x for _, x in loads(wide, capped, 4)) == 16
    with pytest.raises(CapError, match="20"):
        dealt([*wide, Job((8, 8), 4)], 4, cap=16)


def test_a_matrix_beyond_the_cap_is_owned_by_a_group():
    job = Job((64, 64), 800, group=8)
    assert dealt([job], 8) == [0]
    assert [*members(*dealt([job], 8, cap=100), 8)] == [*range(8)]
    with pytest.raises(CapError):
        dealt([job], 8, cap=99)
    with pytest.raises(CapError):
        dealt([Job((64, 64), 800)], 8, cap=100)


def test_a_job_has_the_bytes_of_what_comes_goes_and_stays(monkeypatch):
    monkeypatch.setattr(owners, "LARGE", 1000)
    setting = setting_of((64, 16), 4, "rows")
    assert jobs.job(lower(muon, POLAR), setting) == Job((64, 16), 2 * 4 * 64 * 16, 4)
    statistics = 4 * (64**2 + 16**2)
    found = jobs.job(lower(shampoo, POLAR), setting)
    assert found == Job((64, 16), 2 * 4 * 64 * 16 + statistics, 1)
    half = jobs.job(lower(shampoo, nd.Schedule(state="bfloat16")), setting)
    assert half.bytes == found.bytes - statistics // 2


def test_a_job_of_a_method_that_is_no_chain_is_not_shared():
    """Nor of one whose chain is nested too deeply to be written, nor a small one."""
    setting = setting_of((8192, 2048), 8, "rows")
    methods = [nd.jordan(), nd.jordan(60), nd.SVD(), nd.Turbo()]
    found = [jobs.job(lower(muon, nd.Schedule(polar=x)), setting).group for x in methods]
    assert found == [8, 1, 1, 1]
    assert jobs.job(lower(muon, POLAR), setting_of((64, 16), 8, "rows")).group == 1
    alone = nd.Schedule(polar=nd.jordan(), group=1)
    assert jobs.job(lower(muon, alone), setting).group == 1


def test_a_plan_says_groups_and_keeps_the_cap():
    alone = muon.plan((4096, 1024), 8, schedule=POLAR)
    assert "Computed at an owner: polar." in str(alone)
    cap = 2 * 4 * 4096 * 1024
    same = muon.plan((4096, 1024), 8, schedule=nd.Schedule(polar=nd.jordan(), owned=cap))
    assert str(same) == str(alone)
    less = nd.Schedule(polar=nd.jordan(), owned=cap - 1)
    group = muon.plan((1024, 4096), 8, schedule=less)
    assert "Computed at an owner group of 8 processes: polar." in str(group)
    assert "sum within the group" in str(group)
    with pytest.raises(DeclarationError, match="would have 33,554,432 bytes"):
        muon.plan((4096, 1024), 8, schedule=nd.Schedule(polar=nd.SVD(), owned=cap - 1))


@pytest.mark.parametrize("owned", [0, -1, 1.5, "1 GB"])
def test_a_cap_is_a_number_of_bytes(owned):
    with pytest.raises(DeclarationError, match="whole number"):
        nd.Schedule(owned=owned)


def test_work_of_a_group_is_an_eighth_along_the_long_side(monkeypatch):
    monkeypatch.setattr(owners, "SUMS", 0)
    assert work((16, 800)) == 16**2 * 816
    assert work((800, 16), 8) == 16**2 * 116
