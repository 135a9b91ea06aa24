"""The languages of --data, --encoder and encoder.start: examples, and what holds for every text."""

import string

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mermed_core.specs import DATA, ENCODER, START, Language, Spec, SpecError, split_name


@pytest.mark.parametrize(
    ("language", "text", "spec"),
    [
        (DATA, "images.csv", Spec("path", "images.csv")),
        (DATA, "what?/a@b=c.csv", Spec("path", "what?/a@b=c.csv")),
        (DATA, "csv", Spec("path", "csv")),
        (DATA, "C:\\scans", Spec("path", "C:\\scans")),
        (DATA, "dicom:DIR?every=5", Spec("dicom", "DIR", options={"every": "5"})),
        (DATA, "dicom:a@b", Spec("dicom", "a@b")),
        (DATA, "shards:s3://bucket/set", Spec("shards", "s3://bucket/set")),
        (DATA, "phantoms:60@1", Spec("phantoms", "60", number=1)),
        (
            DATA,
            "medmnist:octmnist@64?root=/a=b&modality=oct",
            Spec("medmnist", "octmnist", number=64, options={"root": "/a=b", "modality": "oct"}),
        ),
        (ENCODER, "resnet18@160", Spec("timm", "resnet18", number=160)),
        (ENCODER, "timm:resnet18", Spec("timm", "resnet18")),
        (ENCODER, "pixels", Spec("pixels")),
        (ENCODER, "pixels@8", Spec("pixels", number=8)),
        (ENCODER, "hf-hub:owner/name@224", Spec("hf-hub", "owner/name", number=224)),
        (ENCODER, "open_clip:hf-hub:owner/name", Spec("open_clip", "hf-hub:owner/name")),
        (
            ENCODER,
            "weights:resnet18=hub:owner/name/a.pth@96",
            Spec("weights", "resnet18", "hub:owner/name/a.pth", 96),
        ),
        (ENCODER, "weights:resnet18=a@b/c.pth", Spec("weights", "resnet18", "a@b/c.pth")),
        (START, "random", Spec("random")),
        (START, "random.pth", Spec("path", "random.pth")),
        (START, "timm", Spec("timm")),
        (START, "package:weights_of_x", Spec("package", "weights_of_x")),
        (START, "hub:owner/name/a.pth", Spec("hub", "owner/name/a.pth")),
        (START, "/models/a=b@2/model", Spec("path", "/models/a=b@2/model")),
    ],
)
def test_what_a_specification_says(language: Language, text, spec):
    assert language.parse(text) == spec


@pytest.mark.parametrize(
    ("language", "text", "part"),
    [
        (DATA, "", "names nothing"),
        (DATA, "csv:", "'csv:' names nothing"),
        (DATA, "medmnist:?root=/a", "names nothing"),
        (DATA, "medmnist:pathmnist@big", "'big' after @ is not a whole number"),
        (DATA, "phantoms:5@", "'' after @ is not a whole number"),
        (DATA, "phantoms:5@" + "9" * 5000, "after @ is not a whole number"),
        (DATA, "folder:x?colour=1", "'colour=' is not an option; these are modality, root, every"),
        (DATA, "folder:x?root=", "'root=' is not an option"),
        (ENCODER, "resnet18@-1", "'-1' after @"),
        (ENCODER, "timm:@32", "names nothing"),
        (START, "hub:", "names nothing"),
    ],
)
def test_what_is_wrong_is_named(language: Language, text, part):
    with pytest.raises(SpecError) as caught:
        language.parse(text)
    assert part in str(caught.value)


languages = st.sampled_from([DATA, ENCODER, START])
targets = st.text(string.ascii_letters + string.digits + "/._-é ", min_size=1, max_size=12)


@st.composite
def specs(draw) -> tuple[Language, Spec]:
    language = draw(languages)
    kind = draw(st.sampled_from([*language.kinds, *language.bare]))
    marks = language.kinds.get(kind, language.bare.get(kind, ""))
    options = st.dictionaries(st.sampled_from(language.options), targets) if language.options else st.just({})
    return language, Spec(
        kind,
        draw(targets) if kind in language.kinds else "",
        draw(st.none() | targets) if "=" in marks else None,
        draw(st.none() | st.integers(0, 10**6)) if "@" in marks else None,
        draw(options) if "?" in marks else {},
    )


@given(specs())
def test_a_specification_is_parsed_back_from_its_text(drawn):
    language, spec = drawn
    assert language.parse(str(spec)) == spec


@given(languages, st.text(max_size=20) | st.text(":=@?&/ab1", max_size=12))
def test_any_text_is_parsed_or_refused(language, text):
    try:
        spec = language.parse(text)
    except SpecError:
        return
    assert spec.kind in {*language.kinds, *language.bare, language.default}
    assert spec.target or spec.kind in language.bare


@given(targets, targets)
def test_a_name_stands_before_the_first_sign_of_equality(name, rest):
    assume(name.strip("/. "))
    assert split_name(f"{name}={rest}") == (name, rest)
    assert split_name(f"weights:{name}={rest}") == ("", f"weights:{name}={rest}")
    assert split_name(rest) == ("", rest)


def test_a_path_that_exists_has_no_name(tmp_path):
    (tmp_path / "rate=0.1").mkdir()
    assert split_name(str(tmp_path / "rate=0.1")) == ("", str(tmp_path / "rate=0.1"))
    assert split_name(f"small={tmp_path / 'rate=0.1'}") == ("small", str(tmp_path / "rate=0.1"))
