"""`appliance check --reach`: whether providers answer on the network from here. A connection and TLS, no request."""

from __future__ import annotations

import asyncio
import ssl
from urllib.parse import urlsplit

from appliance.settings import Settings
from providers import ProviderSettings, address_of

_SECONDS = 10


def unreachable(settings: Settings) -> list[str]:
    """What is wrong with each provider that cannot be reached, in Russian."""
    return asyncio.run(_all(settings))


async def _all(settings: Settings) -> list[str]:
    asked = [(each, address) for each in settings.providers if (address := address_of(each))]
    return [
        problem for problem in await asyncio.gather(*(_problem(each, address) for each, address in asked)) if problem
    ]


async def _problem(provider: ProviderSettings, address: str) -> str:
    url = urlsplit(address)
    secure = url.scheme == "https"
    place = f"поставщик `{provider.name}`: {url.hostname}:{url.port or (443 if secure else 80)}"
    try:
        context = ssl.create_default_context(cafile=getattr(provider, "ca_file", "") or None) if secure else None
        async with asyncio.timeout(_SECONDS):
            _, writer = await asyncio.open_connection(url.hostname, url.port or (443 if secure else 80), ssl=context)
            writer.close()
            await writer.wait_closed()
    except TimeoutError:
        return f"{place} не отвечает за {_SECONDS} с"
    except ssl.SSLCertVerificationError as error:
        return f"{place}: сертификату нет доверия ({error.verify_message}); укажите `ca_file`"
    except OSError as error:
        return f"{place} недоступен ({error.strerror or type(error).__name__})"
    return ""
