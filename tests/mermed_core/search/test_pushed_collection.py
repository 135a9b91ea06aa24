"""A collection's folder on a server, by the command and by the setting that the page reads."""

import shutil

import numpy as np
import pytest

from mermed_core.cli import main
from mermed_core.collections.store import load_collection
from mermed_core.errors import SearchServerError
from mermed_core.search.filters import Filter
from mermed_core.search.milvus_server import MilvusServer


def test_without_a_server_a_push_is_refused(collection_folder, monkeypatch, capsys):
    monkeypatch.delenv("MERMED_SEARCH", raising=False)
    assert main(["collect", "push", str(collection_folder)]) == 2
    assert "MERMED_SEARCH" in capsys.readouterr().err


@pytest.fixture(params=["stand_in", pytest.param("milvus_lite", marks=pytest.mark.slow)])
def address(request) -> str:
    return request.getfixturevalue(request.param)


def test_a_pushed_collection_answers_as_its_folder_does(
    address, collection_folder, tmp_path, monkeypatch, capsys
):
    folder = tmp_path / "über all"
    shutil.copytree(collection_folder, folder)
    server = MilvusServer(address)
    with pytest.raises(SearchServerError, match="has no collection"):
        load_collection(folder, server=server)
    monkeypatch.setenv("MERMED_SEARCH", f"milvus+{address}")
    for sent in ("42 cases sent", "0 cases sent"):
        assert main(["collect", "push", str(folder)]) == 0
        assert sent in capsys.readouterr().out
    here, there = load_collection(folder), load_collection(folder, server=server)
    assert len(there) == len(here) == 42
    case = here.case(here.records["case_id"].iloc[0])
    for where in (
        None,
        Filter({"modality": ["ct", "oct"]}),
        Filter({"label": [here.values("label")[0]]}),
        Filter({"source": [here.values("source")[0]], "split": ["train"]}),
        Filter({"group": here.values("group")[:9]}),
    ):
        for own in (None, case):
            one, other = (
                each.nearest(here.vectors[3], 5, where=where, without=own) for each in (here, there)
            )
            assert [hit.case for hit in one] == [hit.case for hit in other]
            np.testing.assert_allclose(
                [hit.similarity for hit in one], [hit.similarity for hit in other], atol=1e-5
            )
            assert other.exact
    assert there.place(here.vectors[3]) == here.place(here.vectors[3])
