from contextlib import AsyncExitStack

import pytest

from providers import (
    ChatRequest,
    Message,
    ModelSettings,
    OpenAICompatibleSettings,
    Residency,
    Role,
    Timeouts,
    open_provider,
)
from tests.providers.fakes.openai_server import OpenAIServer


@pytest.fixture
def ask():
    def make(text="привет", **fields):
        return ChatRequest(model="m", messages=(Message(Role.USER, text),), **fields)

    return make


@pytest.fixture
def settings_for():
    def make(server, **fields):
        fields = {"timeouts": Timeouts(connect=5, first_byte=10, idle=10, total=30)} | fields
        models = (ModelSettings("m", Residency.LOCAL),)
        return OpenAICompatibleSettings(name="up", models=models, base_url=server.base_url, **fields)

    return make


@pytest.fixture
async def connect(settings_for):
    """Start a server with a scenario and open a provider to it: `provider, server = await connect(scenario)`."""
    async with AsyncExitStack() as stack:

        async def start(scenario, *, key=None, **fields):
            server = await stack.enter_async_context(OpenAIServer(scenario, key=key).running())
            provider = await stack.enter_async_context(open_provider(settings_for(server, **fields)))
            return provider, server

        yield start


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    """A certificate authority's file and the (certificate, key) files of a server on 127.0.0.1."""
    import datetime as dt
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    def signed(name, key, issuer, issuer_key, *extensions):
        now = dt.datetime.now(dt.UTC)
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(issuer).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - dt.timedelta(hours=1)).not_valid_after(now + dt.timedelta(days=1))
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(issuer_key, hashes.SHA256())

    folder = tmp_path_factory.mktemp("tls")
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    ca_usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
    ca = signed(ca_name, ca_key, ca_name, ca_key, x509.BasicConstraints(ca=True, path_length=None), ca_usage)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    leaf = signed(name, key, ca_name, ca_key, address)
    (folder / "ca.pem").write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    (folder / "server.pem").write_bytes(leaf.public_bytes(serialization.Encoding.PEM))
    (folder / "server.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return str(folder / "ca.pem"), (str(folder / "server.pem"), str(folder / "server.key"))
