"""The page as programs see it: named endpoints, refused files, two visitors at once."""

from concurrent.futures import ThreadPoolExecutor
from html import unescape

import httpx2
from gradio_client import Client, handle_file

from mermed_core.files import ASSETS

EXAMPLES = ASSETS / "examples"
PUBLIC = {
    "classify",
    "classify_example",
    "classify_frame",
    "classify_as",
    "explain",
    "analyse",
    "analyse_many",
    "similar",
    "map",
    "selection",
    "selection_csv",
    "report_pdf",
    "report_json",
    "report_dicom",
}


def test_every_handler_has_a_name_and_programs_see_one_of_each_kind(address):
    handlers = httpx2.get(f"{address}/config").json()["dependencies"]
    assert all(handler["api_name"] for handler in handlers)
    assert not [handler["api_name"] for handler in handlers if "lambda" in handler["api_name"]]
    assert {handler["api_name"] for handler in handlers if handler["api_visibility"] == "public"} == PUBLIC


def test_a_program_gets_everything_as_json(address):
    answer = Client(address, verbose=False).predict(handle_file(EXAMPLES / "oct.png"), api_name="/analyse")
    assert set(answer) == {
        "modality",
        "familiarity",
        "in_distribution",
        "region",
        "region_probability",
        "reason",
        "findings",
        "neighbours",
        "map",
        "model",
        "notes",
        "header_modality",
    }
    assert next(iter(answer["modality"])) == "oct"
    assert answer["in_distribution"] is True
    assert {neighbour["modality"] for neighbour in answer["neighbours"]} == {"oct"}


def test_a_program_learns_how_a_file_was_read_and_what_its_header_says(address, ct_file):
    answer = Client(address, verbose=False).predict(handle_file(ct_file), api_name="/analyse")
    assert answer["header_modality"] == "ct"
    assert any("indow" in note for note in answer["notes"])
    shown = Client(address, verbose=False).predict(handle_file(ct_file), "", api_name="/classify")
    assert all(note in unescape(shown[1]) for note in answer["notes"])
    assert "header" in shown[3]


def test_a_program_gets_an_error_as_json(address, tmp_path):
    empty = tmp_path / "empty.dcm"
    empty.write_bytes(b"")
    answer = Client(address, verbose=False).predict(handle_file(empty), api_name="/analyse")
    assert set(answer) == {"error"}
    assert "empty" in answer["error"]


def test_a_refused_file_leaves_what_was_shown(address, tmp_path):
    client = Client(address, verbose=False)
    client.predict(handle_file(EXAMPLES / "cxr.png"), "", api_name="/classify")
    broken = tmp_path / "broken.png"
    broken.write_bytes((EXAMPLES / "ct.png").read_bytes()[:2000])
    refused = client.predict(handle_file(broken), "", api_name="/classify")
    assert "damaged" in refused[1]
    assert "Chest X-ray" in client.predict("", api_name="/classify_as")[2]


def test_visitors_at_once_each_see_their_own_image(address):
    def visit(name: str) -> tuple[str, str]:
        client = Client(address, verbose=False)
        client.predict(handle_file(EXAMPLES / f"{name}.png"), "", api_name="/classify")
        return client.predict("", api_name="/classify_as")[2], client.predict(
            "My image", None, 4, [], [], [], api_name="/similar"
        )[2]

    with ThreadPoolExecutor(4) as pool:
        fundus, skin, pathology, ct = pool.map(visit, ("fundus", "dermatology", "pathology", "ct"))
    assert "Colour fundus" in fundus[0]
    assert "phantom_fundus" in fundus[1]
    assert "Skin" in skin[0]
    assert "phantom_dermatology" in skin[1]
    assert "Pathology" in pathology[0]
    assert "CT" in ct[0]


def test_visitors_who_send_the_same_file_at_once_all_get_an_answer(address):
    def visit(_: int) -> list[str]:
        client = Client(address, verbose=False)
        sent = handle_file(EXAMPLES / "ct.png")
        return [client.predict(sent, "", api_name="/classify")[3] for _ in range(3)]

    with ThreadPoolExecutor(4) as pool:
        answers = [answer for answers in pool.map(visit, range(4)) for answer in answers]
    assert all("CT" in answer for answer in answers)


def test_an_explanation_shows_a_heat_map_with_its_scale(address):
    client = Client(address, verbose=False)
    client.predict("fundus", "", api_name="/classify_example")
    shown, checked = client.predict("phantom_fundus:synthetic exudates", api_name="/explain")
    assert "mm-heat" in shown
    assert "mm-opacity" in shown
    assert "raw peak" in shown
    assert "Synthetic exudates" in shown
    assert checked.strip() == '<div class="mm-map-check"></div>'  # the room of what trying it will give


def test_a_selection_comes_back_with_table_and_csv(address, services):
    ids = list(services.predictor.collection.records["case_id"][:3])
    client = Client(address, verbose=False)
    table = client.predict("\n".join(ids), api_name="/selection")
    assert [row["case"] for row in table] == ids
    csv = client.predict("\n".join(ids), api_name="/selection_csv")
    groups = client.predict("source", api_name="/map")["groups"]
    assert sorted(group["name"] for group in groups) == list(services.predictor.collection.values("source"))
    assert [line.split(",")[0] for line in csv.splitlines()] == ["case", *ids]
