"""What the environment says, and the table that documents it."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mermed_core.errors import SettingsError
from mermed_core.files import BUNDLED_MODEL, DEFAULT_COLLECTION
from mermed_core.settings import VARIABLES, Settings, markdown_table


def test_an_empty_environment_gives_the_defaults():
    settings = Settings.from_environment({})
    assert (settings.model, settings.collection) == (BUNDLED_MODEL, DEFAULT_COLLECTION)
    assert (settings.host, settings.port, settings.data) == ("127.0.0.1", 7860, None)
    assert settings.cache == Path.home() / ".cache" / "mermed" / "shards"


def test_empty_variables_count_as_unset():
    assert Settings.from_environment(dict.fromkeys(VARIABLES, " ")) == Settings.from_environment({})


def test_values_are_typed_and_home_is_resolved():
    settings = Settings.from_environment(
        {"MERMED_CACHE_GB": "0.5", "GRADIO_SERVER_PORT": "80", "MERMED_MODEL": "~/m"}
    )
    assert (settings.cache_gb, settings.port, settings.model) == (0.5, 80, Path.home() / "m")


def test_unknown_images_are_a_folder_or_none():
    given = Settings.from_environment({"MERMED_UNKNOWN": "~/unknown"})
    assert given.unknown == Path.home() / "unknown"
    assert Settings.from_environment({}).unknown is None
    assert Settings.from_environment({"MERMED_UNKNOWN": " "}).unknown is None


def test_places_of_pictures_are_a_list_with_colons():
    given = Settings.from_environment({"MERMED_PICTURES": "~/a b:/data/busi.parquet::"})
    assert given.pictures == (Path.home() / "a b", Path("/data/busi.parquet"))
    assert Settings.from_environment({}).pictures == ()
    with pytest.raises(
        SettingsError, match="MERMED_PICTURES is '~nobody-here/x'; there is no such home folder"
    ):
        Settings.from_environment({"MERMED_PICTURES": "/data:~nobody-here/x"})


def test_the_page_speaks_a_language_that_there_is():
    assert Settings.from_environment({}).language == "en"
    assert Settings.from_environment({"MERMED_LANGUAGE": "de"}).language == "de"
    with pytest.raises(SettingsError, match="MERMED_LANGUAGE is 'tlh'; choose one of en, de"):
        Settings.from_environment({"MERMED_LANGUAGE": "tlh"})


def test_the_page_speaks_a_language_of_the_hosts_own(tmp_path):
    head = 'name = "Klingon"\ndecimal = "."\nthousands = ","\npercent = "%"\nnouns_are_capital = false\n'
    file = tmp_path / "tlh.toml"
    file.write_text(f"{head}[sentences.text]\n", encoding="utf-8")
    given = {"MERMED_LANGUAGES": str(tmp_path), "MERMED_LANGUAGE": "tlh"}
    assert Settings.from_environment(given).language == "tlh"
    with pytest.raises(SettingsError, match="MERMED_LANGUAGE is 'fr'; choose one of en, de, tlh"):
        Settings.from_environment(given | {"MERMED_LANGUAGE": "fr"})
    with pytest.raises(SettingsError, match="There is no folder '/nowhere' with language files"):
        Settings.from_environment({"MERMED_LANGUAGES": "/nowhere"})


def test_a_space_listens_everywhere_unless_an_address_is_given():
    assert Settings.from_environment({"SPACE_ID": "a/b"}).host == "0.0.0.0"
    assert Settings.from_environment({"SPACE_ID": "a/b", "GRADIO_SERVER_NAME": "::1"}).host == "::1"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("GRADIO_SERVER_PORT", "http"),
        ("GRADIO_SERVER_PORT", "0"),
        ("GRADIO_SERVER_PORT", "65536"),
        ("MERMED_CACHE_GB", "-1"),
        ("MERMED_CACHE_GB", "inf"),
        ("MERMED_CACHE_GB", "nan"),
    ],
)
def test_a_value_that_cannot_be_used_is_named_in_one_sentence(variable, value):
    with pytest.raises(SettingsError, match=rf"^The environment variable {variable} is '{value}'; it .*\.$"):
        Settings.from_environment({variable: value})


def test_a_home_folder_that_does_not_exist_is_a_sentence():
    with pytest.raises(SettingsError, match="MERMED_DATA is '~nobody-here/x'; there is no such home folder"):
        Settings.from_environment({"MERMED_DATA": "~nobody-here/x"})


@given(st.dictionaries(st.sampled_from(VARIABLES), st.text()))
def test_any_environment_gives_settings_or_a_sentence(environment):
    settings = Settings()
    with suppress(SettingsError):
        settings = Settings.from_environment(environment)
    assert 1 <= settings.port <= 65535
    assert settings.cache_gb > 0


def test_the_process_environment_is_the_default(monkeypatch):
    monkeypatch.setenv("MERMED_SALT", "pepper")
    assert Settings.from_environment().salt == "pepper"


def test_the_table_has_a_row_for_every_variable():
    rows = markdown_table().splitlines()[2:]
    assert [row.split("`")[1] for row in rows] == list(VARIABLES)
    assert all(len(row.strip("|").split("|")) == 3 for row in rows)
    assert str(Path.home()) not in markdown_table()
