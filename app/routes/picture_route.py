"""The address from which the viewer fetches what its visitor opened: from memory, for nobody else.

A picture is asked for by the name of the visit, which nobody can guess and which travels in the request's
body: no log and no history holds it.
"""

import json
import struct
from dataclasses import asdict
from typing import Any

import numpy as np
from PIL import Image
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mermed_core.errors import ImageError
from mermed_core.imaging.burned_text import find_text
from mermed_core.imaging.codecs import encode_png
from mermed_core.imaging.grey_values import WINDOWS_OF_CT, GreyValues, Window
from mermed_core.imaging.overlay import fitted
from mermed_core.imaging.reader import MedicalImage
from mermed_core.imaging.slides import on_level
from mermed_core.languages.say import in_readers_words

from ..study import opened_study
from ..uploads import open_query
from .requests import body_of

ADDRESS = "opened-picture"
# The longest side of a picture that is sent; a region shows more.
SENT_SIDE = 2048
_THUMBNAIL = 112
_MOST_BYTES = 2000  # of a request
_PNG = "image/png"
_MEDIA_TYPES = {
    "thumbnail": _PNG,
    "text_boxes": "application/json",
    "packed": "application/octet-stream",
}
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def picture_route() -> Route:
    """Returns the route of `ADDRESS`: a POST of {visit, stack, position} gives one picture.

    With {thumbnail: true} it is a small one; with {text: true} the boxes of text that is burned into it. A
    POST of {seen} gives what the model saw of the image of that name.
    """

    async def send(request: Request) -> Response:
        body = await body_of(request, _MOST_BYTES)
        try:
            asked = json.loads(body)
            if "seen" in asked:
                return await _seen(str(asked["seen"]))
            visit, stack, position = str(asked["visit"]), int(asked["stack"]), int(asked["position"])
            pack = thumbnail if asked.get("thumbnail") else text_boxes if asked.get("text") else packed
        except (KeyError, TypeError, ValueError):
            return Response(status_code=400, headers=_HEADERS)
        study = opened_study(visit)
        if study is None:
            return Response(status_code=404, headers=_HEADERS)
        try:
            image = await run_in_threadpool(study.read, stack, position)
        except ImageError as error:
            return Response(in_readers_words(str(error)), 422, _HEADERS, "text/plain; charset=utf-8")
        content = await run_in_threadpool(pack, image)
        return Response(content, headers=_HEADERS, media_type=_MEDIA_TYPES[pack.__name__])

    return Route(f"/{ADDRESS}", send, methods=["POST"])


async def _seen(name: str) -> Response:
    query = open_query(name)
    if query is None:
        return Response(status_code=404, headers=_HEADERS)
    return Response(await run_in_threadpool(query.picture), headers=_HEADERS, media_type=_PNG)


def thumbnail(image: MedicalImage) -> bytes:
    """Returns a small PNG of a picture as its file wants it shown."""
    return encode_png(fitted(image.pixels, _THUMBNAIL))


def text_boxes(image: MedicalImage) -> bytes:
    """Returns where text is burned into a picture, as a JSON list of boxes in its own pixels."""
    shape = image.pixels.shape[0], image.pixels.shape[1]
    return json.dumps([asdict(on_level(box, shape, image.size)) for box in find_text(image.pixels)]).encode()


def packed(image: MedicalImage) -> bytes:
    """Returns a picture for the viewer: the length of a header (4 bytes), the header (JSON), the content.

    The content is a PNG, or for deep grey values their codes (2 bytes each, row by row), and then the curve
    by which the file wants them shown (a byte for each code).
    """
    height, width = image.size
    about: dict[str, Any] = {"fullWidth": width, "fullHeight": height}
    if image.grey is None:
        pixels = fitted(image.pixels, SENT_SIDE)
        about |= {"kind": "colour", "height": pixels.shape[0], "width": pixels.shape[1]}
        content = encode_png(pixels)
    else:
        codes = _fitted_codes(image.grey.codes)
        about |= {"kind": "grey", "height": codes.shape[0], "width": codes.shape[1], **_about(image.grey)}
        content = codes.astype("<u2").tobytes() + image.grey.curve.tobytes()
    header = json.dumps(about).encode()
    header += b" " * (-len(header) % 2)  # so that the codes lie even
    return struct.pack("<I", len(header)) + header + content


def _about(grey: GreyValues) -> dict[str, Any]:
    return {
        "lowest": grey.lowest,
        "step": grey.step,
        "curve": len(grey.curve),
        "start": _plain(grey.start),
        "windows": [_plain(window) for window in grey.windows],
        "presets": {name: _plain(each) for name, each in WINDOWS_OF_CT.items()} if grey.hounsfield else {},
        "inverted": grey.inverted,
        "unit": "HU" if grey.hounsfield else "",
    }


def _plain(window: Window) -> dict[str, Any]:
    return {"centre": window.centre, "width": window.width, "function": window.function}


def _fitted_codes(codes: np.ndarray) -> np.ndarray:
    """Returns codes with the longest side at most `SENT_SIDE`; what is smaller stays as it is."""
    longest = max(codes.shape)
    if longest <= SENT_SIDE:
        return codes
    height, width = (max(1, round(side * SENT_SIDE / longest)) for side in codes.shape)
    resized = Image.fromarray(codes.astype(np.float32)).resize((width, height), Image.Resampling.BOX)
    return np.rint(np.asarray(resized)).astype(np.uint16)
