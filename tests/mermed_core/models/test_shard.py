import pytest

from mermed_core.errors import SettingsError
from mermed_core.models.shard import Shard

ARRAY = {"SLURM_ARRAY_TASK_ID": "7", "SLURM_ARRAY_TASK_MIN": "4", "SLURM_ARRAY_TASK_COUNT": "5"}
TASKS = {"SLURM_PROCID": "2", "SLURM_NTASKS": "3"}


@pytest.mark.parametrize(
    ("text", "environment", "expected"),
    [
        ("0/1", {}, Shard()),
        ("3/8", ARRAY, Shard(3, 8)),
        ("auto", {**ARRAY, **TASKS}, Shard(3, 5)),
        ("auto", TASKS, Shard(2, 3)),
        ("auto/4", {"JOB_COMPLETION_INDEX": "3"}, Shard(3, 4)),
        ("auto", {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1"}, Shard(1, 2)),
    ],
)
def test_a_shard_is_stated_or_given_by_a_scheduler(text, environment, expected):
    assert Shard.parse(text, environment) == expected


@pytest.mark.parametrize(
    ("text", "environment", "words"),
    [
        ("8/8", {}, "no number 8"),
        ("-1/8", {}, "INDEX/COUNT"),
        ("3", {}, "write 3/COUNT"),
        ("auto", {}, "Nothing here says"),
        ("auto", {"JOB_COMPLETION_INDEX": "3"}, "write auto/COUNT"),
        ("auto/3", {"JOB_COMPLETION_INDEX": "3"}, "no number 3"),
        ("auto/0", {"JOB_COMPLETION_INDEX": "3"}, "no number"),
    ],
)
def test_what_is_no_shard_is_refused_in_words(text, environment, words):
    with pytest.raises(SettingsError, match=words):
        Shard.parse(text, environment)


def test_shares_are_disjoint_and_together_the_whole():
    shards = [Shard(index, 3) for index in range(3)]
    assert [sum(shard.has(number) for shard in shards) for number in range(10)] == [1] * 10
