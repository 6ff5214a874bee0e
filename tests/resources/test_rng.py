from __future__ import annotations

import pickle
import subprocess
import sys
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagstack_plugins import DeterministicRng, RandomRng, Rng

if TYPE_CHECKING:
    from collections.abc import Iterator

BOTH = pytest.mark.parametrize("rng", [RandomRng(), DeterministicRng(seed=1)], ids=repr)
SEEDS = st.integers() | st.text()


def sample(rng: Rng) -> list[object]:
    return [rng.next_float(), rng.next_int(-5, 10**30), rng.uuid4(), rng.choice(list("abcdef")), rng.next_int(1, 6)]


@BOTH
def test_it_is_an_rng(rng: Rng) -> None:
    assert isinstance(rng, Rng)


@BOTH
def test_floats_lie_in_the_unit_interval(rng: Rng) -> None:
    drawn = [rng.next_float() for _ in range(1000)]
    assert all(0.0 <= value < 1.0 for value in drawn)
    assert len(set(drawn)) == 1000
    assert 0.4 < sum(drawn) / 1000 < 0.6


@BOTH
def test_both_ends_of_a_range_come(rng: Rng) -> None:
    counts = Counter(rng.next_int(-1, 1) for _ in range(3000))
    assert set(counts) == {-1, 0, 1}
    assert all(800 < count < 1200 for count in counts.values())


@BOTH
@given(low=st.integers(), width=st.integers(0, 2**200))
def test_integers_lie_in_their_range(rng: Rng, low: int, width: int) -> None:
    assert low <= rng.next_int(low, low + width) <= low + width


@BOTH
def test_an_empty_range_is_refused(rng: Rng) -> None:
    with pytest.raises(ValueError, match=r"next_int\(5, 1\)"):
        rng.next_int(5, 1)


@BOTH
def test_a_range_of_floats_is_refused(rng: Rng) -> None:
    with pytest.raises(TypeError):
        rng.next_int(0, 1.5)  # type: ignore[arg-type]


@BOTH
def test_uuids_are_of_version_4_and_differ(rng: Rng) -> None:
    drawn = [uuid.UUID(rng.uuid4()) for _ in range(100)]
    assert {(one.version, one.variant) for one in drawn} == {(4, uuid.RFC_4122)}
    assert len(set(drawn)) == 100


@BOTH
def test_every_item_is_chosen_at_times(rng: Rng) -> None:
    assert {rng.choice(["a", "b", "c"]) for _ in range(200)} == {"a", "b", "c"}


@BOTH
def test_choosing_from_nothing_is_refused(rng: Rng) -> None:
    with pytest.raises(IndexError, match="nothing to choose from"):
        rng.choice([])


def test_the_stream_is_this_one_for_ever() -> None:
    rng = DeterministicRng(seed=42)
    assert [rng.next_float() for _ in range(3)] == [0.6970498433914436, 0.4291446788151896, 0.20993405580288127]
    assert [rng.next_int(1, 6) for _ in range(12)] == [1, 4, 4, 5, 4, 3, 1, 2, 4, 6, 2, 3]
    assert rng.uuid4() == "4c3af2cb-d531-4263-8f97-695a45445408"
    assert "".join(rng.choice("abcdefghij") for _ in range(8)) == "jggdgece"
    assert rng.next_int(0, 10**40) == 695086063945595635512038328652916040149
    assert DeterministicRng(seed="42").uuid4() == "da83be35-a8a9-436e-9587-f94360c691d8"


@given(SEEDS)
def test_the_same_seed_gives_the_same_stream(seed: int | str) -> None:
    assert sample(DeterministicRng(seed=seed)) == sample(DeterministicRng(seed=seed))


@given(SEEDS, SEEDS)
def test_another_seed_gives_another_stream(one: int | str, other: int | str) -> None:
    alike = DeterministicRng(seed=one).uuid4() == DeterministicRng(seed=other).uuid4()
    assert alike == (one == other)


def test_the_stream_does_not_hang_on_the_hash_seed() -> None:
    program = "from dagstack_plugins import DeterministicRng as R; print(R(seed='x').uuid4())"
    told = {
        subprocess.run(
            [sys.executable, "-c", program], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert told == {DeterministicRng(seed="x").uuid4()}


def test_numbers_of_any_length_and_odd_text_are_seeds() -> None:
    assert sample(DeterministicRng(seed=10**5000)) == sample(DeterministicRng(seed=10**5000))
    assert sample(DeterministicRng(seed="\ud800")) == sample(DeterministicRng(seed="\ud800"))


def test_a_seed_of_another_type_is_refused() -> None:
    with pytest.raises(TypeError, match="a seed is an int or a str, got float"):
        DeterministicRng(seed=1.5)  # type: ignore[arg-type]


@pytest.fixture
def many_switches() -> Iterator[None]:
    """Lets threads take turns so often that a missing lock shows."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("many_switches")
def test_no_value_is_given_twice_or_lost_between_threads() -> None:
    alone, shared = DeterministicRng(seed=3), DeterministicRng(seed=3)
    expected = [alone.uuid4() for _ in range(8000)]
    with ThreadPoolExecutor(8) as pool:
        shares = pool.map(lambda _: [shared.uuid4() for _ in range(1000)], range(8))
    assert sorted(one for share in shares for one in share) == sorted(expected)


def test_a_long_seed_travels_too() -> None:
    rng = DeterministicRng(seed=10**5000)
    assert rng.for_worker("a").uuid4() != rng.for_worker("b").uuid4()
    assert len(repr(rng)) < 100


def test_a_copy_goes_on_where_the_original_is() -> None:
    rng = DeterministicRng(seed=1)
    rng.next_float()
    copy = pickle.loads(pickle.dumps(rng))
    assert [copy.uuid4() for _ in range(3)] == [rng.uuid4() for _ in range(3)]


@given(st.sampled_from([7, "7", "x"]), st.sets(st.text(max_size=4), min_size=2, max_size=4))
def test_each_worker_has_a_stream_of_its_own(seed: int | str, workers: set[str]) -> None:
    streams = {DeterministicRng(seed=seed).for_worker(worker).uuid4() for worker in workers}
    assert len(streams | {DeterministicRng(seed=seed).uuid4()}) == len(workers) + 1
    assert streams == {DeterministicRng(seed=seed).for_worker(worker).uuid4() for worker in workers}
