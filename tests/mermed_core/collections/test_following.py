"""A collection that is open while its folder is changed: what is removed is in no answer afterwards."""

import shutil
from pathlib import Path

import pytest

from mermed_core.collections import following
from mermed_core.collections.changes import compact, remove_cases
from mermed_core.collections.folder import changing, open_folder
from mermed_core.collections.following import FollowedCollection
from mermed_core.collections.store import load_collection
from mermed_core.errors import CollectionError
from mermed_core.files import BUNDLED_COLLECTION
from mermed_core.inference.agent_tools import AgentTools
from mermed_core.inference.following import FollowingPredictor
from mermed_core.inference.own_collection import with_collection


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    monkeypatch.setattr(following, "_PAUSE", 0)
    return Clock()


@pytest.fixture
def folder(tmp_path) -> Path:
    return shutil.copytree(BUNDLED_COLLECTION, tmp_path / "collection")


@pytest.fixture
def followed(folder, clock) -> FollowedCollection:
    return FollowedCollection(folder, lambda: load_collection(folder), clock)


def test_nothing_is_opened_again_while_nothing_changes(folder, clock):
    opened = []

    def opens():
        opened.append(1)
        return load_collection(folder)

    followed = FollowedCollection(folder, opens, clock)
    first, problem = followed.current()
    clock.now = 1e6
    assert followed.current() == (first, problem)
    assert (problem, len(opened)) == ("", 1)


def test_a_removed_case_is_in_the_old_collection_and_not_in_the_new(folder, followed):
    before, _ = followed.current()
    gone = before.cases["case_id"].iloc[3]
    remove_cases(folder, cases=[gone])
    after, problem = followed.current()
    assert problem == ""
    assert after is not before
    assert (len(before), len(after)) == (420, 419)
    assert before.thumbnail(gone) is not None  # a request that is under way ends as it began
    with pytest.raises(CollectionError, match="no case"):
        after.thumbnail(gone)


def test_files_that_were_written_anew_take_the_place_of_the_old_ones(folder, followed):
    gone = followed.current()[0].cases["case_id"].iloc[3]
    remove_cases(folder, cases=[gone], erase=False)
    before, _ = followed.current()
    old = before.vectors
    case, picture = before.cases["case_id"].iloc[3], before.thumbnail_at(3)
    compact(folder)
    after, _ = followed.current()
    assert after is before  # the same cases, so that whoever holds it goes on
    assert after.vectors is not old
    assert len(open_folder(folder).gone) == 0
    assert (after.cases["case_id"].iloc[3], after.thumbnail_at(3)) == (case, picture)


def test_a_new_map_of_the_same_cases_is_another_collection(folder, followed):
    before, _ = followed.current()
    with changing(folder) as change:
        kept = change.opened.map
        change.commit(change.stated.changed(map=change.map(type(kept).computed(kept.coordinates[::-1]))))
    after, _ = followed.current()
    assert after is not before
    assert (after.coordinates == before.coordinates[::-1]).all()


def test_what_cannot_be_opened_is_not_shown_and_comes_back(folder, followed, clock, tmp_path):
    vectors = next(folder.glob("segment-*/vectors.npy"))
    right = vectors.read_bytes()
    gone = followed.current()[0].cases["case_id"].iloc[0]
    remove_cases(folder, cases=[gone], erase=False)
    vectors.write_bytes(b"damaged")
    collection, problem = followed.current()
    assert collection is None
    assert "is damaged" in problem
    vectors.write_bytes(right)  # the manifest stays as it is
    assert followed.current()[0] is None
    clock.now += 11
    collection, problem = followed.current()
    assert (len(collection), problem) == (419, "")
    folder.rename(tmp_path / "elsewhere")
    collection, problem = followed.current()
    assert collection is None
    assert "no collection" in problem


def test_a_folder_that_is_away_for_a_moment_is_waited_for(folder, clock):
    away = []

    def opens():
        if away:
            raise CollectionError(away.pop())
        return load_collection(folder)

    followed = FollowedCollection(folder, opens, clock)
    (folder / "manifest.json").touch()
    away.append("It is being replaced.")
    assert followed.current()[1] == ""


def test_an_error_that_nobody_foresaw_does_not_leave_the_old_state_open(folder, clock):
    raised: list[Exception] = []

    def opens():
        if raised:
            raise raised[0]
        return load_collection(folder)

    followed = FollowedCollection(folder, opens, clock)
    raised.append(OSError("the disk is away"))
    (folder / "manifest.json").touch()
    assert followed.current() == (None, "The collection cannot be opened (OSError).")
    with pytest.raises(OSError, match="away"):
        FollowedCollection(folder, opens, clock)


@pytest.fixture
def own(predictor, tmp_path, monkeypatch) -> Path:
    """The collection of the tiny model, as a folder."""
    folder = tmp_path / "own"
    monkeypatch.setattr(following, "_PAUSE", 0)
    shutil.copytree(BUNDLED_COLLECTION, folder)
    with changing(folder) as change:
        change.commit(change.stated.changed(fingerprint=predictor.fingerprint))
    return folder


def test_agents_hear_of_a_case_only_as_long_as_it_is_there(predictor, own):
    served = FollowingPredictor(predictor, own, lambda: load_collection(own))
    tools = AgentTools(served)
    query = str(load_collection(own).cases["case_id"].iloc[1])
    gone = tools.similar(case_id=query)["cases"][0]["case_id"]
    assert served.current() is served.current()
    remove_cases(own, cases=[gone])
    assert gone not in {case["case_id"] for case in tools.similar(case_id=query, count=50)["cases"]}
    with pytest.raises(CollectionError, match=f"no case '{gone}'"):
        tools.similar(case_id=gone)
    assert tools.collection_stats()["cases"] == 419
    shutil.rmtree(own)
    with pytest.raises(CollectionError, match="no collection"):
        tools.collection_stats()


def test_a_collection_of_another_model_takes_no_place(predictor, own):
    served = FollowingPredictor(predictor, own, lambda: load_collection(own))
    assert served.current().collection is not None
    with changing(own) as change:
        change.commit(change.stated.changed(fingerprint="another model"))
    now = served.current()
    assert now.collection is None
    assert "made by another model" in now.no_collection
    assert "made by another model" in served.problem


def test_the_sentence_about_no_collection_is_the_one_that_is_given(predictor):
    assert with_collection(predictor, None, missing="It is gone.").no_collection == "It is gone."
    assert "build one" in with_collection(predictor, None).no_collection
