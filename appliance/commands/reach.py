"""`appliance check --reach`: whether providers answer on the network from here. A connection and TLS, no request."""

from __future__ import annotations

import asyncio
import ssl

from appliance.egress.streams import open_stream
from appliance.settings import Settings
from providers import Place, ProviderSettings, places_of

_SECONDS = 10


def unreachable(settings: Settings) -> list[str]:
    """What is wrong with each provider that cannot be reached, in Russian."""
    return asyncio.run(_all(settings))


async def _all(settings: Settings) -> list[str]:
    asked = [(provider, place) for provider in settings.providers for place in places_of(provider)]
    return [
        problem
        for problem in await asyncio.gather(*(_problem(each, place, settings.broker) for each, place in asked))
        if problem
    ]


async def _problem(provider: ProviderSettings, to: Place, broker: str) -> str:
    place = f"поставщик `{provider.name}`: {to.host}:{to.port}"
    try:
        context = ssl.create_default_context(cafile=getattr(provider, "ca_file", "") or None) if to.tls else None
        async with asyncio.timeout(_SECONDS):
            _, writer = await open_stream(to.host, to.port, context, broker)
            writer.close()
            await writer.wait_closed()
    except TimeoutError:
        return f"{place} не отвечает за {_SECONDS} с"
    except ssl.SSLCertVerificationError as error:
        return f"{place}: сертификату нет доверия ({error.verify_message}); укажите `ca_file`"
    except OSError as error:
        return f"{place} недоступен ({error.strerror or type(error).__name__})"
    return ""
