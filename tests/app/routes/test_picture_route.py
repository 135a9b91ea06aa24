import gc
import io
import json
import struct

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from starlette.applications import Starlette
from starlette.testclient import TestClient

from app.routes.picture_route import ADDRESS, SENT_SIDE, packed, picture_route
from app.study import open_study
from app.uploads import open_fetched
from mermed_core.imaging.overlay import fitted
from mermed_core.imaging.reader import read_image

client = TestClient(Starlette(routes=[picture_route()]))


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def ask(**what):
    return client.post(f"/{ADDRESS}", content=json.dumps(what))


def unpacked(content: bytes) -> tuple[dict, bytes]:
    (length,) = struct.unpack_from("<I", content)
    return json.loads(content[4 : 4 + length]), content[4 + length :]


def test_deep_grey_values_arrive_whole_with_their_windows(ct_file):
    study = open_study([("slice.dcm", ct_file.read_bytes())])
    answer = ask(visit=study.visit, stack=0, position=0)
    assert answer.headers["cache-control"] == "no-store"
    about, content = unpacked(answer.content)
    grey = study.read(0, 0).grey
    assert grey is not None
    assert (about["kind"], about["unit"], about["width"], about["height"]) == ("grey", "HU", 64, 64)
    assert about["windows"] == [{"centre": 40, "width": 400, "function": "LINEAR"}]
    assert set(about["presets"]) == {"lung", "bone", "brain", "soft_tissue", "liver", "mediastinum"}
    codes = np.frombuffer(content, "<u2", 64 * 64).reshape(64, 64)
    np.testing.assert_array_equal(codes, grey.codes)
    np.testing.assert_array_equal(np.frombuffer(content[2 * 64 * 64 :], np.uint8), grey.curve)


def test_a_picture_of_eight_bits_is_a_png_and_a_thumbnail_is_small():
    pixels = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    study = open_study([("a.png", png(pixels))])
    about, content = unpacked(ask(visit=study.visit, stack=0, position=0).content)
    assert about["kind"] == "colour"
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(content))), pixels)
    small = ask(visit=study.visit, stack=0, position=0, thumbnail=True)
    assert max(Image.open(io.BytesIO(small.content)).size) <= 128


def test_a_large_picture_is_sent_smaller_and_says_so():
    values = np.zeros((100, 2 * SENT_SIDE), np.uint16)
    values[:, SENT_SIDE:] = 5000
    about, content = unpacked(packed(read_image(png(values), keep_grey=True)))
    assert (about["width"], about["height"], about["fullWidth"]) == (SENT_SIDE, 50, 2 * SENT_SIDE)
    codes = np.frombuffer(content, "<u2", 50 * SENT_SIDE).reshape(50, -1)
    assert set(np.unique(codes)) == {1, 5001}


def test_text_that_is_burned_in_is_told_by_its_boxes():
    image = Image.new("RGB", (512, 300))
    ImageDraw.Draw(image).text((10, 10), "DOE JANE 1961", fill="white", font=ImageFont.load_default(20))
    study = open_study([("a.png", png(np.asarray(image))), ("b.png", png(np.zeros((99, 99), np.uint8)))])
    (box, *_) = ask(visit=study.visit, stack=0, position=0, text=True).json()
    assert box["top"] < 30
    assert box["width"] > 80
    assert ask(visit=study.visit, stack=1, position=0, text=True).json() == []


def test_what_the_model_saw_is_sent_by_a_name_as_long_as_the_image_is_open(services):
    pixels = np.random.default_rng(0).integers(0, 256, (1000, 500, 3), dtype=np.uint8)
    query = open_fetched(services.predictor, [("a.png", png(pixels))])
    answer = ask(seen=query.name)
    assert (answer.headers["content-type"], answer.headers["cache-control"]) == ("image/png", "no-store")
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(answer.content))), fitted(pixels, 900))
    name = query.name
    assert query.read_as(services.predictor, "ct").name != name
    del query
    gc.collect()
    assert ask(seen=name).status_code == ask(seen="another").status_code == 404


def test_nobody_else_gets_a_picture_and_nonsense_gets_none():
    study = open_study([("a.png", png(np.zeros((20, 20), np.uint8)))])
    assert ask(visit="another", stack=0, position=0).status_code == 404
    assert ask(visit=study.visit, stack=7, position=0).status_code == 422
    assert client.post(f"/{ADDRESS}", content=b"nothing").status_code == 400
    assert client.get(f"/{ADDRESS}").status_code == 405


def test_a_request_that_is_longer_than_any_question_is_refused():
    assert client.post(f"/{ADDRESS}", content=b" " * 3000).status_code == 413
