"""The routes of `halab serve`: pages, their events, and what a page may start."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import (
    FileResponse,
    HTMLResponse,
    JSONResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Route

from halab import templates
from halab.errors import HalabError
from halab.printable import brief
from halab.serve import auth, learner_acts, pages, trainer_acts
from halab.serve.auth import PageAccess
from halab.serve.board import Board
from halab.serve.learner_acts import Answer, Form
from halab.serve.served_lab import ServedLab

_POLL_SECONDS = 0.2
# Proxies and tunnels close a stream without data, so a comment is sent after this time.
_KEEPALIVE_SECONDS = 15.0
_MOST_BYTES = 64_000

Act = Callable[[ServedLab, Form], Answer]
Regions = Callable[[], Mapping[str, str]]


@dataclass(frozen=True)
class Site:
    """The labs by name, each with the access to its pages; and the access to the page for trainers, if there is one.

    `say` prints a line on the terminal.
    """

    say: Callable[[str], None]
    labs: Mapping[str, ServedLab]
    lab_access: Mapping[str, PageAccess]
    trainer: PageAccess | None = None
    # set when the server ends: all streams end then
    is_closing: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def of(cls, labs: Sequence[ServedLab], say: Callable[[str], None], *, with_trainer: bool) -> Site:
        lab_access = {lab.name: PageAccess(f"/labs/{lab.name}/") for lab in labs}
        return cls(
            say,
            {lab.name: lab for lab in labs},
            lab_access,
            PageAccess("/trainer/") if with_trainer else None,
        )

    def entry(self, request: Request) -> tuple[ServedLab, PageAccess]:
        name = request.path_params["lab"]
        if name not in self.labs:
            raise HTTPException(404, f"no such lab: {name}")
        return self.labs[name], self.lab_access[name]

    def for_trainers(self) -> PageAccess:
        if self.trainer is None:
            raise HTTPException(404, "there is no page for trainers: start `halab serve` with --trainer")
        return self.trainer


def make(site: Site) -> Starlette:
    """The application. All its state is in its labs."""
    views = _Views(site)
    routes = [
        Route("/page.css", _file("page.css", "text/css")),
        Route("/page.js", _file("page.js", "text/javascript")),
        Route("/page.svg", _file("page.svg", "image/svg+xml")),
        Route("/labs/{lab}/", views.learner),
        Route("/labs/{lab}/events", views.learner_events),
        Route("/labs/{lab}/state.json", views.learner_state),
        Route("/labs/{lab}/debrief/{file:path}", views.learner_debrief),
        Route("/labs/{lab}/{act}", views.learner_act, methods=["POST"]),
        Route("/trainer/", views.trainer),
        Route("/trainer/events", views.trainer_events),
        Route("/trainer/state.json", views.trainer_state),
        Route("/trainer/{lab}/debrief/{file:path}", views.trainer_debrief),
        Route("/trainer/{lab}/{act}", views.trainer_act, methods=["POST"]),
    ]
    middleware = [
        Middleware(auth.Headers),
        Middleware(TrustedHostMiddleware, allowed_hosts=list(auth.HOSTS), www_redirect=False),
    ]
    handlers = {HTTPException: _refuse, Exception: views.report_defect}
    return Starlette(routes=routes, middleware=middleware, exception_handlers=handlers)


@dataclass(frozen=True)
class _Views:
    site: Site

    async def learner(self, request: Request) -> Response:
        lab, access = self.site.entry(request)
        return _exchange_token(request, access) or HTMLResponse(
            pages.learner(lab.boards.learner, form_token=access.form_token)
        )

    async def learner_events(self, request: Request) -> Response:
        lab, access = self.site.entry(request)
        access.require_cookie(request)
        return self._events(lambda: pages.learner_regions(lab.boards.learner), [lab])

    async def learner_state(self, request: Request) -> Response:
        lab, access = self.site.entry(request)
        access.require_cookie(request)
        return JSONResponse(lab.boards.learner)

    async def learner_act(self, request: Request) -> Response:
        lab, access = self.site.entry(request)
        return await _acted(request, access, lab, learner_acts.ACTS)

    async def learner_debrief(self, request: Request) -> Response:
        lab, access = self.site.entry(request)
        access.require_cookie(request)
        return await run_in_threadpool(_debrief, lab, request.path_params["file"])

    async def trainer(self, request: Request) -> Response:
        access = self.site.for_trainers()
        redirect = _exchange_token(request, access)
        if redirect:
            return redirect
        fixed = await run_in_threadpool(trainer_acts.fixed, self.site.labs.values(), self.site.lab_access)
        return HTMLResponse(pages.trainer(self._boards(), fixed, form_token=access.form_token))

    async def trainer_events(self, request: Request) -> Response:
        self.site.for_trainers().require_cookie(request)
        return self._events(lambda: pages.trainer_regions(self._boards()), list(self.site.labs.values()))

    async def trainer_state(self, request: Request) -> Response:
        self.site.for_trainers().require_cookie(request)
        return JSONResponse(
            {lab: {"learner": board, "hidden": hidden} for lab, (board, hidden) in self._boards().items()}
        )

    async def trainer_act(self, request: Request) -> Response:
        access = self.site.for_trainers()
        lab, _ = self.site.entry(request)
        return await _acted(request, access, lab, trainer_acts.ACTS)

    async def trainer_debrief(self, request: Request) -> Response:
        self.site.for_trainers().require_cookie(request)
        lab, _ = self.site.entry(request)
        return await run_in_threadpool(_debrief, lab, request.path_params["file"])

    async def report_defect(self, request: Request, error: Exception) -> Response:
        """Say on the terminal what went wrong; the page only learns that something did."""
        self.site.say(brief(f"internal error at {request.url.path}: {type(error).__name__}: {error}"))
        return await _refuse(request, HTTPException(500, "the terminal of `halab serve` shows the error"))

    def _boards(self) -> dict[str, tuple[Board, Board]]:
        return {name: (lab.boards.learner, lab.boards.hidden) for name, lab in self.site.labs.items()}

    def _events(self, regions: Regions, labs: Sequence[ServedLab]) -> Response:
        stream = _changed_regions(regions, labs, self.site.is_closing)
        return StreamingResponse(stream, media_type="text/event-stream")


async def _changed_regions(
    regions: Regions, labs: Sequence[ServedLab], is_closing: threading.Event
) -> AsyncIterator[str]:
    """Server-sent events: first all regions of a page, then those that have changed.

    A slow reader gets fewer events and not old ones: the next is made when the last was sent.
    """
    sent: Mapping[str, str] = {}
    versions: list[int] = []
    last = time.monotonic()
    yield "retry: 2000\n\n"
    while True:
        if versions != (now := [lab.boards.version for lab in labs]):
            versions, fresh = now, regions()
            changed = {name: html for name, html in fresh.items() if sent.get(name) != html}
            sent = fresh
            if changed:
                last = time.monotonic()
                yield f"data: {json.dumps(changed)}\n\n"
        elif time.monotonic() - last > _KEEPALIVE_SECONDS:
            last = time.monotonic()
            yield ": keepalive\n\n"
        if is_closing.is_set():
            yield "event: end\ndata: \n\n"
            return
        await asyncio.sleep(_POLL_SECONDS)


def _exchange_token(request: Request, access: PageAccess) -> Response | None:
    """If the address has the token, redirect to the address without it, with a cookie. 403 without either."""
    if access.has_token(request):
        response = RedirectResponse(access.path, 303)
        response.set_cookie(access.cookie, access.token, path=access.path, httponly=True, samesite="lax")
        return response
    access.require_cookie(request)
    return None


async def _acted(request: Request, access: PageAccess, lab: ServedLab, acts: Mapping[str, Act]) -> Response:
    form = await _form(request)
    access.require_form(request, form.get(auth.TOKEN, ""))
    act = acts.get(request.path_params["act"])
    if act is None:
        raise HTTPException(404, "no such action")
    try:
        answer = await run_in_threadpool(act, lab, form)
    except HalabError as error:
        answer = Answer(error.with_hint, is_good=False)
    lab.wake()
    return JSONResponse({"message": answer.message, "is_good": answer.is_good})


def _debrief(lab: ServedLab, file: str) -> Response:
    """The report of the last game day, or a file of its run that the report names. 404 while a game day is running."""
    folder = lab.boards.report
    if folder is None:
        raise HTTPException(404, "no game day has ended")
    if file:
        known = {
            path.relative_to(folder.path).as_posix() for path in folder.path.rglob("*") if path.is_file()
        }
        if file not in known:
            raise HTTPException(404, f"no such file of the game day: {file}")
        return FileResponse(folder.path / file, media_type="text/plain")
    try:
        return HTMLResponse(folder.page.read_bytes(), headers=auth.REPORT_POLICY)
    except FileNotFoundError as error:
        raise HTTPException(
            404, f"the game day has no report: `halab report {folder.path}` writes it"
        ) from error


async def _form(request: Request) -> Form:
    """The fields of a form; 413 if it is larger than any that a page sends."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST_BYTES:
            raise HTTPException(413, "the form is too large")
    return dict(parse_qsl(body.decode(errors="replace"), keep_blank_values=True))


def _file(name: str, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    async def send(request: Request) -> Response:
        return Response(templates.page(f"serve/{name}"), media_type=media_type)

    return send


async def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if request.method == "POST":
        return JSONResponse({"message": error.detail, "is_good": False}, error.status_code)
    return HTMLResponse(pages.refusal(error.status_code, error.detail), error.status_code)
