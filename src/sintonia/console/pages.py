"""The console's routes: a shell for each page, with nothing in it but words and addresses, and the static files."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from urllib.parse import quote, unquote

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from sintonia.console.languages import LANGUAGES, catalogue, chosen

AT = "/console"
_PROJECT, _LOCATION = "local", "us-central1"
_ANY_PROJECT = "-"
"""No project's name: the first one that its reader has a role in, which nobody knows before they are known."""

_THEMES = ("light", "dark")
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_MEDIA_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


_Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class Page:
    """A page: its script ``static/pages/NAME.js`` fills it; ``title`` is the key of its name in the catalogues."""

    name: str
    path: str
    title: str
    section: str
    """The entry of the navigation that it belongs to."""
    needs: str = "VIEWER"
    """The role that one needs to do anything on it."""


_PAGES = (
    Page("tuned_models", "/tuningJobs", "nav.tunedModels", "tuningJobs"),
    Page("create", "/tuningJobs/create", "create.title", "tuningJobs", "TUNER"),  # ids of jobs are numbers
    Page("job", "/tuningJobs/{job}", "nav.tunedModels", "tuningJobs"),
    Page("chat", "/chat", "nav.test", "chat"),
    Page("buckets", "/buckets", "nav.buckets", "buckets"),
    Page("bucket", "/buckets/{bucket}", "nav.buckets", "buckets"),
    Page("base_models", "/baseModels", "nav.baseModels", "baseModels"),
    Page("tokens", "/tokens", "nav.tokens", "tokens", "ADMIN"),
)
_NAVIGATION = (
    ("tuningJobs", "nav.tunedModels", "models"),
    ("chat", "nav.test", "chat"),
    ("baseModels", "nav.baseModels", "base"),
    ("buckets", "nav.buckets", "bucket"),
)
_LOST = Page("lost", "", "lost.title", "")


def routes(*, sign_in: bool = False) -> list[BaseRoute]:
    """What the server answers to browsers, beside the API. Shells are open to all, as they hold nobody's data.

    Args:
        sign_in: whether the API asks who one is.
    """
    parent = "/projects/{project}/locations/{location}"
    return [
        Route("/", _front_door),
        Route(AT, _to_console),
        Mount(
            AT,
            routes=[
                Route("/", _home_of(sign_in=sign_in)),
                Route("/static/{version}/{path:path}", _static),
                *(Route(parent + page.path, _shell_of(page, sign_in=sign_in), name=page.name) for page in _PAGES),
                Route("/{path:path}", _shell_of(_LOST, sign_in=sign_in, status=404)),
            ],
        ),
    ]


async def _front_door(request: Request) -> Response:
    """Browsers are shown in; programs have no business here."""
    if "text/html" not in request.headers.get("accept", ""):
        raise HTTPException(404)
    return await _to_console(request)


async def _to_console(request: Request) -> Response:
    return RedirectResponse(f"{request.scope.get('root_path', '')}{AT}/", 307)


def _home_of(*, sign_in: bool) -> _Endpoint:
    async def home(request: Request) -> Response:
        project, location = _place(request, sign_in=sign_in)
        return RedirectResponse(f"{request.scope['root_path']}{_parent(project, location)}/tuningJobs", 307)

    return home


async def _static(request: Request) -> Response:
    """Files under the version of all of them: a browser may keep one for good, and never mixes two versions."""
    content = _files().get(request.path_params["path"])
    if content is None:
        raise HTTPException(404)
    media_type = _MEDIA_TYPES[request.path_params["path"].rpartition(".")[2]]
    fresh = request.path_params["version"] == _version()
    caching = {"Cache-Control": "public, max-age=31536000, immutable" if fresh else "no-cache"}
    return Response(content, media_type=media_type, headers=_HEADERS | caching)


def _shell_of(page: Page, *, sign_in: bool, status: int = 200) -> _Endpoint:
    async def shell(request: Request) -> Response:
        path = request.path_params
        place = _place(request, sign_in=sign_in)
        project, location = path.get("project", place[0]), path.get("location", place[1])
        language = chosen(
            request.query_params.get("hl"),
            request.cookies.get("sintonia_language"),
            request.headers.get("accept-language", ""),
        )
        theme = request.cookies.get("sintonia_theme", "")
        base = request.scope["root_path"].removesuffix(AT)
        parent = base + AT + _parent(project, location)
        html = _template().render(
            page=page,
            words=catalogue(language),
            language=language,
            languages=LANGUAGES,
            theme=theme if theme in _THEMES else "",
            themes=("", *_THEMES),
            static=f"{base}{AT}/static/{_version()}",
            project=project,
            location=location,
            navigation=[(f"{parent}/{path}", label, icon, path == page.section) for path, label, icon in _NAVIGATION],
            base=base,
            parent=parent,
            sign_in=sign_in,
            config={
                "page": page.name,
                "needs": page.needs,
                "signsIn": sign_in,
                "languages": list(LANGUAGES.items()),
                "base": base,
                "console": base + AT,
                "static": f"{base}{AT}/static/{_version()}",
                "language": language,
                "project": project,
                "location": location,
                "path": path,
                "words": catalogue(language),
            },
        )
        return Response(html, status_code=status, media_type="text/html; charset=utf-8", headers=_HEADERS)

    return shell


def _place(request: Request, *, sign_in: bool) -> tuple[str, str]:
    """The project and location that were looked at last."""
    project, _, location = unquote(request.cookies.get("sintonia_place", "")).partition("/")
    if project and location:
        return project, location
    return (_ANY_PROJECT if sign_in else _PROJECT), _LOCATION


def _parent(project: str, location: str) -> str:
    return f"/projects/{quote(project, safe='')}/locations/{quote(location, safe='')}"


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader(__package__, "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template("shell.html.jinja")


@cache
def _files() -> dict[str, bytes]:
    """Every static file by its path; they are few and small."""

    def below(folder: Traversable, path: str) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        for item in folder.iterdir():
            if item.is_dir():
                found |= below(item, f"{path}{item.name}/")
            elif item.name.rpartition(".")[2] in _MEDIA_TYPES:
                found[path + item.name] = item.read_bytes()
        return found

    return below(resources.files(__package__) / "static", "")


@cache
def _version() -> str:
    digest = hashlib.sha256()
    for path, content in sorted(_files().items()):
        digest.update(path.encode() + b"\0" + content)
    return digest.hexdigest()[:12]
