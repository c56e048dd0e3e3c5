"""The routes of `histoloom view`: each finds a slide, asks it one thing, and answers. Contract: docs/how-to/view.md."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Annotated, Any

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from flows.view_catalogue import Catalogue
from flows.view_cohort import file_url, summary, warnings
from flows.view_guard import REPORT_CSP, STORE_PREFIX, Guard, Policy
from flows.view_links import neuroglancer_link
from flows.view_ranges import asked_range
from pipeline.errors import HistoloomError, ResourceLost, StorageRefused
from pipeline.output import COHORT_FILES, is_result
from pipeline.view_nuclei import View
from pipeline.view_slide import SlideView

STATIC = Path(__file__).with_name("viewer") / "static"

_THREADS = 8
_PIECE = 1 << 18
_NO_CACHE = {"cache-control": "no-cache"}
_MEDIA_TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".json": "application/json"}
_FAR = 1e9
_TILE = re.compile(r"(\d{1,2})/(\d{1,9})_(\d{1,9})", re.ASCII)

Number = Annotated[float, Query(ge=-_FAR, le=_FAR, allow_inf_nan=False)]
Scale = Annotated[float, Query(gt=0, le=_FAR, allow_inf_nan=False)]


def make_app(catalogue: Catalogue, policy: Policy) -> ASGIApp:
    """The application, behind its guard."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False, lifespan=_few_threads)
    _explain_errors(app)
    _add_pages(app)
    _add_slides(app, catalogue, policy)
    _add_nuclei(app, catalogue)
    _add_files(app, catalogue)
    return Guard(app, policy)


@asynccontextmanager
async def _few_threads(app: FastAPI) -> Any:
    """Work is done by few threads; who asks for more waits."""
    from anyio.to_thread import current_default_thread_limiter

    current_default_thread_limiter().total_tokens = _THREADS
    yield


def _explain_errors(app: FastAPI) -> None:
    @app.exception_handler(HistoloomError)
    def refused(request: Request, error: HistoloomError) -> JSONResponse:
        passing = isinstance(error, ResourceLost | StorageRefused)
        return _error(503 if passing else 404, error.what, error.cure)

    @app.exception_handler(RequestValidationError)
    def misunderstood(request: Request, error: RequestValidationError) -> JSONResponse:
        names = ", ".join(str(entry["loc"][-1]) for entry in error.errors())
        return _error(422, f"not a number that makes sense: {names}", "Give numbers of the slide's own size.")

    @app.exception_handler(HTTPException)
    def absent(request: Request, error: HTTPException) -> JSONResponse:
        return _error(error.status_code, "there is nothing here", "Begin at the list of slides.")

    @app.exception_handler(Exception)
    def unforeseen(request: Request, error: Exception) -> JSONResponse:
        return _error(503, "the results cannot be read", "Look at what `histoloom view` printed; try again.")


def _error(status: int, error: str, cure: str) -> JSONResponse:
    return JSONResponse({"error": error, "cure": cure}, status, {"cache-control": "no-store"})


def _add_pages(app: FastAPI) -> None:
    """The front end: files that were there when the server started, by their names."""
    files = {str(path.relative_to(STATIC)): path for path in STATIC.rglob("*") if path.is_file()}

    def page() -> Response:
        if "index.html" not in files:
            return _error(503, "this installation has no front end", "Install histoloom from a built package.")
        return Response(files["index.html"].read_bytes(), media_type="text/html", headers=_NO_CACHE)

    app.get("/")(page)

    @app.get("/slide/{slide}")
    def slide_page(slide: str) -> Response:
        return page()

    @app.get("/assets/{path:path}")
    def asset(path: str) -> Response:
        found = files.get(f"assets/{path}")
        if found is None:
            raise HTTPException(404)
        kind = mimetypes.guess_type(found.name)[0] or "application/octet-stream"
        return Response(found.read_bytes(), media_type=kind, headers=_NO_CACHE)


def _add_slides(app: FastAPI, catalogue: Catalogue, policy: Policy) -> None:
    @app.get("/api/cohort")
    def cohort() -> Response:
        return JSONResponse({"title": catalogue.title, "slides": catalogue.rows()}, headers=_NO_CACHE)

    @app.get("/api/slides/{slide}")
    def describe(slide: str, request: Request) -> Response:
        view = catalogue.slide(slide)
        prefix = f"{STORE_PREFIX}{policy.store_token}" if policy.store_token else ""
        host = request.headers["host"]
        store = f"{request.url.scheme}://{host}{prefix}{file_url(slide, f'{view.name}.ome.zarr')}"
        return JSONResponse(_description(slide, view, catalogue, store), headers=_NO_CACHE)

    @app.get("/api/slides/{slide}/tiles/{layer:path}/{level}/{tile}")
    def tile(slide: str, layer: str, level: str, tile: str, request: Request, format: str = "") -> Response:
        view, numbers = catalogue.slide(slide), _TILE.fullmatch(f"{level}/{tile}")
        found = view.layers.get(layer)
        place = view.tiles.find(found, *map(int, numbers.groups())) if found and numbers else None
        if place is None:
            raise HTTPException(404)
        kind: Any = "jpeg" if place.layer.kind == "rgb" and format != "png" else "png"
        headers = {**_NO_CACHE, "etag": f'"{place.tag}-{kind}"'}
        if headers["etag"] in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(view.tiles.picture(place, kind), media_type=f"image/{kind}", headers=headers)


def _description(slide: str, view: SlideView, catalogue: Catalogue, store: str) -> dict[str, Any]:
    rows = {row["id"]: row for row in catalogue.rows()}
    downloads = [{"title": name, "url": file_url(slide, name)} for name in view.results]
    nuclei, patches = view.nuclei, view.patches
    found = {"count": len(nuclei), "classes": nuclei.classes, "columns": nuclei.columns} if nuclei else None
    judged = {"count": len(patches), "classifiers": patches.classifiers} if patches else None
    return {
        "id": slide,
        "name": rows.get(slide, {}).get("name", slide),
        "status": rows.get(slide, {}).get("status", "done" if view.whole else "unfinished"),
        "mpp_level0": view.level0.mpp,
        "width_level0_px": view.level0.width,
        "height_level0_px": view.level0.height,
        "layers": [layer.as_dict(view.level0) for layer in view.layers.values()],
        "nuclei": found,
        "patches": judged,
        "warnings": warnings(view.record),
        "summary": summary(view.record),
        "links": {
            "report": file_url(slide, "report.html") if view.has("report.html") else None,
            "neuroglancer": neuroglancer_link(view, store),
            "store": store,
            "download": downloads,
        },
    }


def _add_nuclei(app: FastAPI, catalogue: Catalogue) -> None:
    def nuclei_of(slide: str) -> Any:
        found = catalogue.slide(slide).nuclei
        if found is None:
            raise HTTPException(404)
        return found

    @app.get("/api/slides/{slide}/nuclei")
    def nuclei(slide: str, x0: Number, y0: Number, x1: Number, y1: Number, px: Scale) -> Response:
        view = View(min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1), px)
        return Response(nuclei_of(slide).answer(view), media_type="application/octet-stream", headers=_NO_CACHE)

    @app.get("/api/slides/{slide}/nuclei/at")
    def nucleus_at(slide: str, x: Number, y: Number) -> Response:
        return _found(nuclei_of(slide).at(x, y))

    @app.get("/api/slides/{slide}/nuclei/{row}")
    def nucleus(slide: str, row: int) -> Response:
        return _found(nuclei_of(slide).row(row))

    @app.get("/api/slides/{slide}/patches/at")
    def patches_at(slide: str, x: Number, y: Number) -> Response:
        patches = catalogue.slide(slide).patches
        found = patches.at(x, y) if patches is not None else []
        return _found({"patches": found} if found else None)


def _found(content: Any) -> Response:
    if content is None:
        raise HTTPException(404)
    return JSONResponse(content, headers=_NO_CACHE)


def _add_files(app: FastAPI, catalogue: Catalogue) -> None:
    @app.get("/files/{name}")
    def cohort_file(name: str, request: Request) -> Response:
        """The cohort's page, where a slide's page links to it as the one above; and the table that it names."""
        if name not in COHORT_FILES:
            raise HTTPException(404)
        return _send(catalogue, name, request, is_page=name == "report.html")

    @app.get("/files/{slide}/{path:path}")
    def file(slide: str, path: str, request: Request) -> Response:
        folder = catalogue.folder(slide)
        if not is_result(path, folder.rpartition("/")[2]):
            raise HTTPException(404)
        return _send(catalogue, f"{folder}/{path}", request, is_page=path == "report.html")


def _send(catalogue: Catalogue, path: str, request: Request, *, is_page: bool) -> Response:
    """A file below the folder of results, or the part of it that is asked for. No other is a page, however called."""
    opened = catalogue.files.open(path)
    if opened is None:
        raise HTTPException(404)
    content, stamp = opened
    headers = {**_NO_CACHE, "etag": f'"{stamp.tag.strip(chr(34))}"', "accept-ranges": "bytes"}
    if is_page:
        headers["content-security-policy"] = REPORT_CSP
    if headers["etag"] in request.headers.get("if-none-match", ""):
        content.close()
        return Response(status_code=304, headers=headers)
    asked = request.headers.get("range")
    if request.headers.get("if-range", headers["etag"]) != headers["etag"]:
        asked = None  # what the client has a part of is no more: it gets the whole anew
    part = asked_range(asked, stamp.bytes)
    if part is None:
        content.close()
        return Response(status_code=416, headers={**headers, "content-range": f"bytes */{stamp.bytes}"})
    headers["content-length"] = str(len(part))
    status = 200
    if asked and len(part) != stamp.bytes:
        status, headers["content-range"] = 206, f"bytes {part.start}-{part.stop - 1}/{stamp.bytes}"
    kind = "text/html; charset=utf-8" if is_page else _MEDIA_TYPES.get(Path(path).suffix, "application/octet-stream")
    return StreamingResponse(_pieces(content, part), status, headers, media_type=kind)


def _pieces(content: IO[bytes], part: range) -> Iterator[bytes]:
    with content:
        content.seek(part.start)
        left = len(part)
        while left > 0 and (piece := content.read(min(_PIECE, left))):
            left -= len(piece)
            yield piece
