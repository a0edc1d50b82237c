"""Names of recordings in containers."""

import pytest

from earmark.schemas.locations import ContainedName, contained_name, member_uri, row_uri


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("gs://b/calls.parquet#row=12", ContainedName("gs://b/calls.parquet", row=12)),
        ("/a/B.PARQUET#row=0", ContainedName("/a/B.PARQUET", row=0)),
        ("tar://a/0.flac::gs://b/calls.tar", ContainedName("gs://b/calls.tar", "a/0.flac")),
        ("zip://0.flac::https://host/calls.zip", ContainedName("https://host/calls.zip", "0.flac")),
        ("/a/take#row=3.flac", None),
        ("/a/take#row=3", None),
        ("/a/calls.parquet#row=", None),
        ("/a/take::3.flac", None),
        ("simplecache::gs://b/take.flac", None),
        ("gs://b/take.flac", None),
    ],
)
def test_a_uri_names_a_file_or_a_recording_in_a_container(uri, name):
    assert contained_name(uri) == name


@pytest.mark.parametrize("container", ["/a/calls", "s3://b/calls"])
def test_names_of_rows_and_members_are_read_as_they_are_written(container):
    assert contained_name(row_uri(f"{container}.parquet", 7)) == ContainedName(f"{container}.parquet", row=7)
    member = member_uri("tar", f"{container}.tar", "x/1.wav")
    assert contained_name(member) == ContainedName(f"{container}.tar", "x/1.wav")
