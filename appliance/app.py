"""create_app(settings): the HTTP service, wired."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from litestar import Litestar
from litestar.datastructures import State
from litestar.di import Provide

from appliance.routes import admin, pii, privacy
from appliance.routes.embeddings import embeddings
from appliance.routes.health import livez, readyz
from appliance.routes.openai import chat_completions, models
from appliance.routes.witness import add_checkpoint
from appliance.service import Service, open_service
from appliance.settings import Settings
from appliance.status import answer_error, numbered


def create_app(settings: Settings) -> Litestar:
    """The ASGI application. Its lifespan opens every part and closes it; nothing is opened before."""

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        async with open_service(settings) as service:
            app.state.service = service
            yield

    app = Litestar(
        route_handlers=[
            chat_completions,
            embeddings,
            models,
            *pii.HANDLERS,
            *privacy.HANDLERS,
            *admin.HANDLERS,
            add_checkpoint,
            livez,
            readyz,
        ],
        lifespan=[lifespan],
        dependencies={"service": Provide(_service, sync_to_thread=False)},
        exception_handlers={Exception: answer_error},
        request_max_body_size=settings.server.max_body_bytes,
        openapi_config=None,
        logging_config=None,
    )
    # Around everything, for Litestar's own middleware does not see requests that no route takes.
    app.asgi_handler = numbered(app.asgi_handler)
    return app


def _service(state: State) -> Service:
    service: Service = state.service
    return service
