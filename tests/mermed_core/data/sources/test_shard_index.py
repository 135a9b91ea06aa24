"""The table beside shards: what it may name, how large it may be, and which one it is."""

import hashlib
import io
import json
import logging

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mermed_core.data import remote
from mermed_core.data.manifest import Manifest
from mermed_core.data.phantoms import phantom_manifest
from mermed_core.data.sources.opener import open_manifest, recorded_source
from mermed_core.data.sources.shard_index import INDEX
from mermed_core.data.sources.shard_writer import pack
from mermed_core.errors import DamagedImageError, ManifestError, RefusedDownloadError


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("index") / "shards"
    pack(phantom_manifest(2, 0), "abc", folder, images_per_shard=4)
    return folder


@pytest.fixture
def served(shards, file_server, tmp_path, monkeypatch):
    """The shards on a web server, behind a login."""
    monkeypatch.setenv("MERMED_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(remote, "_refused", {})
    file_server.files |= {path.name: path.read_bytes() for path in shards.iterdir() if path.is_file()}
    return file_server.url.replace("http://", "http://me:hush@")


def table(shards, **columns):
    """The bytes of the table with other values in some columns."""
    frame = pq.read_table(shards / INDEX).to_pandas().assign(**columns)
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), buffer)
    return buffer.getvalue()


def test_shards_of_a_web_server_are_read_and_checked(shards, served, file_server, caplog):
    with caplog.at_level(logging.DEBUG):
        opened, local = open_manifest(f"shards:{served}"), open_manifest(shards)
        assert opened.frame["case_id"].tolist() == local.frame["case_id"].tolist()
        for row in range(len(local)):
            assert opened.image_source(row) == local.image_source(row)
    assert "hush" not in caplog.text
    assert all(len(value) == 64 for value in opened.frame["shard_sha256"])
    assert set(file_server.logins) != {None}


def test_a_shard_that_its_table_was_not_written_for_is_refused(shards, served, file_server):
    opened = open_manifest(f"shards:{served}")
    name = opened.frame["path"].iloc[0].rpartition("/")[2]
    file_server.files[name] = bytes(len(file_server.files[name]))
    with pytest.raises(DamagedImageError, match="another SHA-256") as caught:
        opened.image_source(0)
    assert "hush" not in str(caught.value)


def test_the_checksum_of_the_table_decides_which_one_it_is(shards, served, tmp_path):
    sha256 = hashlib.sha256((shards / INDEX).read_bytes()).hexdigest()
    for place in (served, shards):
        assert len(open_manifest(f"shards:{place}?sha256={sha256.upper()}")) == 14
        with pytest.raises(ManifestError, match="not the table that was asked for") as caught:
            open_manifest(f"shards:{place}?sha256={'0' * 64}")
        assert "hush" not in str(caught.value)
    with pytest.raises(ManifestError, match="other sources have none"):
        open_manifest(f"folder:{tmp_path}?sha256={sha256}")


@pytest.mark.parametrize(
    "name",
    [
        "../other/ct-000000.tar",
        "/etc/ct-000000.tar",
        "a/../../ct-000000.tar",
        "a//ct-000000.tar",
        "./ct-000000.tar",
        "..\\ct-000000.tar",
        "C:/ct-000000.tar",
        "file:///etc/a.tar",
        "https://u:tok@elsewhere/a.tar",
        "s3://bucket/a.tar",
        "%2e%2e/a.tar",
        "%252e/..%2f../a.tar",
        "a.tar?sig=tok&x=.tar",
        "a#b.tar",
        "passwd",
        "",
        None,
    ],
)
def test_a_table_names_only_shards_in_its_folder(shards, served, file_server, tmp_path, name):
    data = table(shards, path=["ct-000000.tar", name, *["ct-000000.tar"] * 12])
    file_server.files[INDEX] = data
    (tmp_path / "local").mkdir()
    (tmp_path / "local" / INDEX).write_bytes(data)
    for place in (served, tmp_path / "local"):
        with pytest.raises(
            ManifestError, match=r"row 1, column 'path': .*folder of index\.parquet"
        ) as caught:
            open_manifest(f"shards:{place}")
        assert "tok" not in str(caught.value)
        assert "hush" not in str(caught.value)


def test_shards_in_folders_below_are_in_the_folder(shards, tmp_path):
    (tmp_path / "s" / "part one").mkdir(parents=True)
    for path in shards.glob("*.tar"):
        (tmp_path / "s" / "part one" / path.name).write_bytes(path.read_bytes())
    names = [f"part one/{name}" for name in pq.read_table(shards / INDEX)["path"].to_pylist()]
    (tmp_path / "s" / INDEX).write_bytes(table(shards, path=names))
    opened, expected = open_manifest(f"shards:{tmp_path / 's'}"), open_manifest(shards)
    assert opened.image_source(5) == expected.image_source(5)


@pytest.mark.parametrize(
    ("columns", "part"),
    [
        ({"offset": "a"}, "row 0, column 'offset'"),
        ({"length": -1}, "row 0, column 'length'"),
        ({"length": 0.5}, "whole number"),
        ({"offset": None}, "row 0, column 'offset'"),
    ],
)
def test_a_table_states_ranges(shards, tmp_path, columns, part):
    (tmp_path / INDEX).write_bytes(table(shards, **columns))
    with pytest.raises(ManifestError, match=part):
        open_manifest(f"shards:{tmp_path}")


def test_a_table_without_ranges_or_with_damaged_facts_is_a_sentence(shards, tmp_path):
    frame = pq.read_table(shards / INDEX).to_pandas()
    pq.write_table(pa.Table.from_pandas(frame.drop(columns="offset")), tmp_path / INDEX)
    with pytest.raises(ManifestError, match="column 'offset': this column is missing"):
        open_manifest(f"shards:{tmp_path}")
    for facts in (b"{", b"[]", json.dumps({"notes": "text"}).encode(), b'{"left_out": {"a": "b"}}'):
        stored = pq.read_table(shards / INDEX).replace_schema_metadata({b"mermed": facts})
        pq.write_table(stored, tmp_path / INDEX)
        with pytest.raises(ManifestError, match="damaged"):
            open_manifest(f"shards:{tmp_path}")


def test_a_remote_table_above_the_limit_is_refused_and_a_local_one_read(shards, served, monkeypatch):
    monkeypatch.setenv("MERMED_TABLE_GB", "0.000001")
    with pytest.raises(RefusedDownloadError, match="MERMED_TABLE_GB") as caught:
        open_manifest(f"shards:{served}")
    assert "hush" not in str(caught.value)
    assert len(open_manifest(shards)) == 14


def test_a_table_that_is_huge_in_memory_is_refused(shards, served, file_server, monkeypatch):
    rows = 200_000
    same = pa.table({name: pa.array(np.zeros(rows, np.int8)) for name in ("path", "offset", "length")})
    buffer = io.BytesIO()
    pq.write_table(same, buffer, compression="zstd")
    file_server.files[INDEX] = buffer.getvalue()
    monkeypatch.setenv("MERMED_TABLE_GB", "0.001")
    assert len(buffer.getvalue()) < 20_000
    with pytest.raises(RefusedDownloadError, match="in memory"):
        open_manifest(f"shards:{served}")


def test_a_web_folder_without_a_table_and_one_with_a_query_are_sentences(served, file_server):
    del file_server.files[INDEX]
    with pytest.raises(Exception, match="404") as caught:
        open_manifest(f"shards:{served}")
    assert "hush" not in str(caught.value)
    with pytest.raises(ManifestError, match="'sig=' is not an option") as caught:
        open_manifest(f"shards:{served}?sig=mine")
    assert "mine" not in str(caught.value)


@pytest.mark.parametrize(
    "spec", ["csv:https://u:pw@h/a.csv", "https://u:pw@h/a.parquet", "folder:s3://u:pw@b/x"]
)
def test_other_sources_are_not_opened_at_a_url(spec):
    with pytest.raises(ManifestError, match="only shards are read") as caught:
        open_manifest(spec)
    assert "pw" not in str(caught.value)


def test_the_record_of_a_run_has_the_source_without_its_login():
    assert recorded_source("shards:https://u:pw@h/x?modality=ct") == "shards:https://h/x?modality=ct"
    assert recorded_source("shards:https://u:pw@h/x?sig=mine") == "shards:https://h/x"
    for text in ("shards:s3://bucket/x?modality=ct", "folder:a?every=2", "$DATA/a.csv"):
        assert recorded_source(text) == text


def test_a_packed_folder_carries_the_checksum_of_each_shard(shards):
    packed = Manifest.load(shards / INDEX)
    for path, sha256 in zip(packed.frame["path"], packed.frame["shard_sha256"], strict=True):
        with open(path, "rb") as file:
            assert hashlib.file_digest(file, "sha256").hexdigest() == sha256
