"""Merging parts into one that stands in for them."""

import itertools

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from earmark.schemas.errors import JobError
from earmark.schemas.records import PartReport
from earmark.transforms.output import merge as merge_parts
from earmark.transforms.output.footer import Origin, PartFooter
from earmark.transforms.output.merge import SmallPart, group_parts, read_small
from earmark.transforms.output.store import OutputStore, encode_part, encode_table
from tests.support.outputs.parts import FAILURE, make_part

NO_FOOTER = PartFooter("run", "key", "f", ())
SIZES = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)))


def sized(sizes):
    return [SmallPart(str(number), bytes(size), NO_FOOTER, rows) for number, (size, rows) in enumerate(sizes)]


def weigh(group):
    return sum(len(part.content) for part in group), sum(part.entries for part in group)


@given(SIZES, st.integers(1, 20), st.integers(1, 20))
def test_groups_hold_every_part_once_in_order_and_none_is_too_large_or_cut_too_early(sizes, max_bytes, max_entries):
    parts = sized(sizes)
    groups = list(group_parts(iter(parts), max_bytes, max_entries))
    assert [part.path for group in groups for part in group] == [part.path for part in parts]
    for group in groups:
        size, entries = weigh(group)
        assert len(group) == 1 or (size <= max_bytes and entries <= max_entries)
    for group, following in itertools.pairwise(groups):
        size, entries = weigh([*group, following[0]])
        assert size > max_bytes or entries > max_entries


@given(st.lists(st.integers(1, 9)), st.integers(20, 30))
def test_of_small_parts_every_group_but_the_last_is_above_half(sizes, max_bytes):
    groups = list(group_parts(iter(sized([(size, 0) for size in sizes])), max_bytes, 1))
    assert all(weigh(group)[0] > max_bytes / 2 for group in groups[:-1])


def small(key, rows, failures=()):
    return read_small(OutputStore.part_path(key), make_part(key, rows, failures))


def merge(*parts, run_id="c1"):
    return merge_parts.merge_parts(parts, run_id)


def test_a_merged_part_holds_all_rows_and_the_origin_of_each_part():
    merged = merge(
        small("aa1", [("a", {"speaker": "x"}), ("b", {})], [FAILURE]), small("bb1", []), small("cc1", [("c", {})])
    )
    table = pq.read_table(pa.BufferReader(merged.content))
    alone = [
        pq.read_table(pa.BufferReader(small(*part).content))
        for part in (("aa1", [("a", {"speaker": "x"}), ("b", {})]), ("cc1", [("c", {})]))
    ]
    assert table.schema.equals(alone[0].schema) and not table.schema.field("id").nullable
    assert table.to_pylist() == [row for part in alone for row in part.to_pylist()]
    footer = PartFooter.of(pq.read_metadata(pa.BufferReader(merged.content)))
    assert (footer.run_id, footer.failures) == ("c1", (FAILURE,))
    assert footer.origins == (
        Origin("aa1", "run1", "f00d", 2, 1), Origin("bb1", "run1", "f00d", 0, 0), Origin("cc1", "run1", "f00d", 1, 0)
    )  # fmt: skip
    assert merged.replaces == tuple(OutputStore.part_path(key) for key in ("aa1", "bb1", "cc1"))


def test_a_part_merged_again_keeps_its_origins_and_comes_later_by_name():
    first, second = merge(small("aa1", [("a", {})])), merge(small("ff1", [("b", {})]))
    remerged = merge(read_small(first.path, first.content), read_small(second.path, second.content), small("cc1", []))
    third = merge(read_small(remerged.path, remerged.content), small("dd1", []), run_id="c3")
    footer = PartFooter.of(pq.read_metadata(pa.BufferReader(third.content)))
    assert [origin.key for origin in footer.origins] == ["aa1", "ff1", "cc1", "dd1"]
    assert set(footer.merged) == {first.path, second.path, remerged.path}
    for merged in (first, second, remerged, third):
        assert all(path < merged.path for path in merged.replaces), "a listing in order of names lists it last"


def test_the_same_parts_merge_into_the_same_path_and_others_do_not():
    parts = [small("aa1", [("a", {})]), small("bb1", [])]
    assert merge(*parts).path == merge(*parts, run_id="another").path != merge(parts[0]).path


def test_rows_are_cut_into_row_groups_by_their_size_in_memory(monkeypatch):
    parts = [small(f"aa{number}", [(f"{number}-{row}", {}) for row in range(10)]) for number in range(9)]
    monkeypatch.setattr(merge_parts, "ROW_GROUP_BYTES", 3 * pq.read_table(pa.BufferReader(parts[0].content)).nbytes)
    file = pq.read_metadata(pa.BufferReader(merge(*parts).content))
    assert [file.row_group(number).num_rows for number in range(file.num_row_groups)] == [30, 30, 30]


def test_parts_of_failures_alone_are_merged_too():
    merged = merge(small("aa1", [], [FAILURE]), small("bb1", [], [FAILURE]))
    file = pq.read_metadata(pa.BufferReader(merged.content))
    assert file.num_rows == 0
    assert PartFooter.of(file).failures == (FAILURE, FAILURE)


def test_parts_of_different_columns_are_not_merged():
    content = encode_part(pa.table({"id": ["a"]}), PartReport("bb1", 1, ()), "run1", "f00d")
    with pytest.raises(JobError, match=r"part-bb1.parquet has other columns than .*part-aa1.parquet"):
        merge(small("aa1", [("a", {})]), read_small(OutputStore.part_path("bb1"), content))


@pytest.mark.parametrize("content", [b"hello", encode_table(pa.table({"id": ["a"]}))])
def test_a_file_that_is_not_a_part_is_named(content):
    with pytest.raises(JobError, match=r"annotations/aa/x\.parquet is not a part that earmark wrote"):
        read_small("annotations/aa/x.parquet", content)
