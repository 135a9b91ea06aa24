from dataclasses import dataclass
from typing import Annotated, Literal

import pytest

from mermed_core.config import Between, Share, read_recipe, write_recipe
from mermed_core.errors import RecipeError


@dataclass(frozen=True)
class Part:
    count: Annotated[int, Between(1, 9)]
    rate: float
    kind: Literal["slow", "fast"]
    sizes: tuple[int, ...]
    pair: tuple[Share, Share]


@dataclass(frozen=True)
class Whole:
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


@pytest.fixture
def recipe_file(tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text(TEXT, encoding="utf-8")
    return path


def test_values_take_the_types_of_their_fields(recipe_file):
    recipe = read_recipe(Whole, recipe_file)
    assert recipe == Whole(Part(3, 2.0, "slow", (1, 2, 3), (0.5, 1.0)), 'one "two" µ', False)
    assert isinstance(recipe.part.rate, float)


def test_overrides_win(recipe_file):
    overrides = ["part.count=5", "part.rate=1e-3", "part.kind=fast", "part.sizes=[]", "name=17", "quick=true"]
    recipe = read_recipe(Whole, recipe_file, overrides)
    assert recipe == Whole(Part(5, 1e-3, "fast", (), (0.5, 1.0)), "17", True)
    assert read_recipe(Whole, recipe_file, ["name=a=b c"]).name == "a=b c"


def test_what_is_written_reads_back_the_same(recipe_file, tmp_path):
    recipe = read_recipe(Whole, recipe_file, ["part.rate=1e-05"])
    write_recipe(recipe, tmp_path / "again.toml")
    assert read_recipe(Whole, tmp_path / "again.toml") == recipe


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("part.cuont=5", "part.cuont"),
        ("prat.count=5", "prat"),
        ("name.first=x", "name.first"),
        ("part=3", "part"),
        ("part.count=10", "part.count"),
        ("part.count=0", "part.count"),
        ("part.count=2.0", "part.count"),
        ("part.count=true", "part.count"),
        ("part.count=many", "part.count"),
        ("part.rate=nan", "part.rate"),
        ("part.rate=inf", "part.rate"),
        ("part.rate='1'", "part.rate"),
        ("part.kind=quick", "part.kind"),
        ("part.sizes=3", "part.sizes"),
        ("part.sizes=[1, 'x']", "part.sizes"),
        ("part.pair=[1]", "part.pair"),
        ("part.pair=[0, 1.5]", "part.pair"),
        ("quick=1", "quick"),
        ("part.count", "part.count"),
        ("=3", "=3"),
    ],
)
def test_what_is_wrong_is_named(recipe_file, override, named):
    with pytest.raises(RecipeError, match=named.replace(".", r"\.")):
        read_recipe(Whole, recipe_file, [override])


def test_a_missing_key_and_a_broken_file_are_told(tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text(TEXT.replace("count = 3\n", ""), encoding="utf-8")
    with pytest.raises(RecipeError, match=r"part\.count.*missing"):
        read_recipe(Whole, path)
    path.write_text("name = ", encoding="utf-8")
    with pytest.raises(RecipeError, match="cannot be read"):
        read_recipe(Whole, path)
    with pytest.raises(RecipeError, match="cannot be read"):
        read_recipe(Whole, tmp_path / "none.toml")
