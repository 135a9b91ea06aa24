import tomllib
from typing import Annotated, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from mermed_core.config import Section, Share, read_recipe, write_recipe
from mermed_core.errors import RecipeError


class Part(Section):
    count: Annotated[int, Field(ge=1, le=9)]
    rate: float
    kind: Literal["slow", "fast"]
    sizes: tuple[int, ...]
    pair: tuple[Share, Share]


class Whole(Section):
    part: Part
    name: str = "unnamed"
    quick: bool = False


TEXT = """
name = "one \\"two\\" µ"
[part]
count = 3
rate = 2
kind = "slow"
sizes = [1, 2, 3]
pair = [0.5, 1]
"""
PART = {"count": 3, "rate": 2.0, "kind": "slow", "sizes": (1, 2, 3), "pair": (0.5, 1.0)}


def whole(name="one", quick=False, **part):
    return Whole(part=Part(**{**PART, **part}), name=name, quick=quick)


@pytest.fixture
def write(tmp_path):
    def write_text(name, text):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    return write_text


@pytest.fixture
def recipe_file(write):
    return write("recipe.toml", TEXT)


def test_values_take_the_types_of_their_fields(recipe_file):
    recipe = read_recipe(Whole, recipe_file)
    assert recipe == whole('one "two" µ')
    assert isinstance(recipe.part.rate, float)
    assert recipe.part.sizes == (1, 2, 3)


def test_a_recipe_is_immutable(recipe_file):
    recipe = read_recipe(Whole, recipe_file)
    with pytest.raises(ValidationError):
        recipe.part.count = 4


def test_overrides_win(recipe_file):
    overrides = ["part.count=5", "part.rate=1e-3", "part.kind=fast", "part.sizes=[]", "name=17", "quick=true"]
    recipe = read_recipe(Whole, recipe_file, overrides)
    assert recipe == whole("17", True, count=5, rate=1e-3, kind="fast", sizes=())
    assert read_recipe(Whole, recipe_file, ["name=a=b c"]).name == "a=b c"


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@settings(max_examples=60)
@given(
    name=TEXTS,
    quick=st.booleans(),
    rate=st.floats(allow_nan=False, allow_infinity=False),
    sizes=st.lists(st.integers(-(2**62), 2**62), max_size=3).map(tuple),
)
def test_what_is_written_reads_back_the_same(tmp_path_factory, name, quick, rate, sizes):
    recipe = whole(name, quick, rate=rate, sizes=sizes)
    path = tmp_path_factory.getbasetemp() / "again.toml"
    write_recipe(recipe, path)
    assert read_recipe(Whole, path) == recipe
    assert tomllib.loads(path.read_text(encoding="utf-8"))["part"]["rate"] == rate


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("part.cuont=5", r"'part\.cuont' is unknown; known here are count, rate, kind, sizes, pair\."),
        ("prat.count=5", r"'prat' is unknown; known here are part, name, quick\."),
        ("name.first=x", r"'name\.first' is unknown: 'name' is a value, not a section\."),
        ("part=3", r"'part' is a section of the recipe, not a value\."),
        ("part.count=10", r"'part\.count' is 10; it must be less than or equal to 9\."),
        ("part.count=0", r"'part\.count' is 0; it must be greater than or equal to 1\."),
        ("part.count=2.0", r"'part\.count' is 2\.0; it must be a valid integer\."),
        ("part.count=true", r"'part\.count' is True; it must be a valid integer\."),
        ("part.count=many", r"'part\.count' is 'many'; it must be a valid integer\."),
        ("part.count=2020-01-01", r"'part\.count' is .*; it must be a valid integer\."),
        ("part.rate=nan", r"'part\.rate' is nan; it must be a finite number\."),
        ("part.rate=inf", r"'part\.rate' is inf; it must be a finite number\."),
        ("part.rate='1'", r"'part\.rate' is '1'; it must be a valid number\."),
        ("part.kind=quick", r"'part\.kind' is 'quick'; it must be 'slow' or 'fast'\."),
        ("part.sizes=3", r"'part\.sizes' is 3; it must be a valid list\."),
        ("part.sizes=[1, 'x']", r"'part\.sizes\[1\]' is 'x'; it must be a valid integer\."),
        ("part.pair=[1]", r"'part\.pair' has too few values: \[1\]\."),
        ("part.pair=[0, 1, 1]", r"'part\.pair' is \(0, 1, 1\); it must have at most 2 items"),
        ("part.pair=[0, 1.5]", r"'part\.pair\[1\]' is 1\.5; it must be less than or equal to 1\."),
        ("quick=1", r"'quick' is 1; it must be a valid boolean\."),
        ("part.count", r"'part\.count' is not of the form key=value"),
        ("=3", "'=3' is not of the form key=value"),
    ],
)
def test_an_error_names_the_key(recipe_file, override, message):
    with pytest.raises(RecipeError, match=f"^{message}"):
        read_recipe(Whole, recipe_file, [override])


def test_a_missing_key_and_a_broken_file_are_named(write, tmp_path):
    with pytest.raises(RecipeError, match=r"'part\.count' is missing"):
        read_recipe(Whole, write("recipe.toml", TEXT.replace("count = 3\n", "")))
    with pytest.raises(RecipeError, match=r"'part\.cuont' is unknown"):  # and not: count is missing
        read_recipe(Whole, write("recipe.toml", TEXT.replace("count", "cuont")))
    with pytest.raises(RecipeError, match="cannot be read"):
        read_recipe(Whole, write("recipe.toml", "name = "))
    with pytest.raises(RecipeError, match="cannot be read"):
        read_recipe(Whole, tmp_path / "none.toml")


def test_a_recipe_extends_others_in_a_chain(write, tmp_path, monkeypatch):
    (tmp_path / "below").mkdir()
    write("recipe.toml", TEXT)
    write("below/middle.toml", 'extends = "../recipe.toml"\n[part]\ncount = 4\nkind = "fast"\n')
    last = write("last.toml", 'extends = "below/middle.toml"\nquick = true\n[part]\ncount = 5\nsizes = []\n')
    expected = whole('one "two" µ', True, count=5, kind="fast", sizes=())
    assert read_recipe(Whole, last) == expected
    monkeypatch.chdir(tmp_path / "below")  # the path is relative to the file, not to the working folder
    assert read_recipe(Whole, last, ["part.count=6"]).part.count == 6
    write_recipe(expected, tmp_path / "resolved.toml")
    assert "extends" not in (tmp_path / "resolved.toml").read_text(encoding="utf-8")


def test_what_cannot_be_extended_is_named(write):
    circle = write("circle.toml", 'extends = "other.toml"')
    write("other.toml", 'extends = "./circle.toml"')
    with pytest.raises(RecipeError, match=r"in a circle: .*circle\.toml → .*other\.toml → .*circle\.toml"):
        read_recipe(Whole, circle)
    with pytest.raises(RecipeError, match=r"none\.toml' cannot be read"):
        read_recipe(Whole, write("lost.toml", 'extends = "none.toml"'))
    with pytest.raises(RecipeError, match="'extends' is 3; it must be the path of another recipe"):
        read_recipe(Whole, write("number.toml", "extends = 3"))
    write("recipe.toml", TEXT)
    with pytest.raises(RecipeError, match="'part' is a section"):
        read_recipe(Whole, write("flat.toml", 'extends = "recipe.toml"\npart = 3'))
