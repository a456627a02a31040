"""One TOML file → one Settings Struct. Secrets are file paths; nothing is read from the environment.

Without a file everything lives under `var/` and requests are answered by the embedded model when its weights are there, else by
the built-in mock.
"""

from __future__ import annotations

import os
import re
import tomllib
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from appliance.auth import Duty, Keyring, Officer, Principal, digest, is_digest
from appliance.dispatch import RouterSettings
from appliance.endorsement import Endorsement, SignerSettings, check_endorsement
from appliance.errors import SettingsError
from appliance.events import Id
from appliance.kek import FileKek, KekSettings, kek_source, problems_of_kek
from appliance.keyfiles import KEY_SIZE, read_secret
from appliance.siem.settings import SinkSettings, problems_of_sinks
from appliance.witnessing import (
    WitnessedBySettings,
    problem_of_stop,
    problems_of_text,
    problems_of_witnesses,
    with_default_kind,
)
from audit import AuditError, LogSettings, Verifier, check_signing_key
from policies import (
    DetectorSettings,
    Policy,
    PolicyFileError,
    load_policy,
    problems_of_recognizers,
    shipped_policy_path,
)
from providers import (
    AliasSettings,
    Directory,
    EmbeddedSettings,
    ModelSettings,
    ProviderSettings,
    Residency,
    Task,
    TestingSettings,
    UnknownModelError,
    UnusableSettingsError,
    check_provider,
    load_tariffs,
    problems_of_aliases,
    routes_of,
)

_Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]


class ServerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the service listens and what it takes."""

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8080
    max_body_bytes: Annotated[int, Meta(ge=1024)] = 10 * 1024 * 1024
    max_in_flight: Annotated[int, Meta(ge=1)] = 1000  # requests at once; one more is answered 503
    drain_seconds: Annotated[int, Meta(ge=0)] = 30  # how long running answers may finish after SIGTERM


class KeySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An application's API key: its SHA-256, or a file that holds the key itself."""

    id: _Name
    app: _Name
    purposes: Annotated[tuple[_Name, ...], Meta(min_length=1)]
    default_purpose: _Name | None = None
    route: str | None = None  # pins the key: whatever model it asks for, this name is meant
    sha256: str | None = None
    file: Path | None = None


class BackupSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """To whom backups are sealed: public keys of age, `age1…`."""

    recipients: tuple[Annotated[str, Meta(pattern=r"^age1[a-z0-9]+$")], ...] = ()


class WitnessSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Being a witness of other logs, named by their public keys; of none: not being one."""

    logs: tuple[Path, ...] = ()
    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$")] = "appliance.local/witness"
    key_file: Path | None = None


class EgressSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How connections leave: through the egress broker whose socket is named, else from the service itself."""

    broker: Path | None = None
    inside: tuple[str, ...] = ()  # names that look public and lead to addresses of the company


class WhenBlocked(StrEnum):
    """What may happen to requests while the log cannot write, for a reason that passes."""

    REFUSE = "refuse"
    DENY_PERSONAL_DATA = "deny-personal-data"  # those in which nothing was found go on, recorded in a side file


class AuditSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The log's files. Empty paths lie under the state directory."""

    path: Path | None = None
    kek_file: Path | None = None
    kek: KekSettings = FileKek()  # where the key-encryption key comes from
    signing_key_file: Path | None = None
    origin: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$")] = "appliance.local/audit"
    max_bytes: Annotated[int, Meta(ge=1)] | None = None  # the log refuses to grow further; unset: the disk is the limit
    subject_keys_file: Path | None = None  # written by the log itself; unset: beside the KEK
    epoch_key_file: Path | None = None  # written by the log itself; unset: beside the signing key
    reserve_bytes: Annotated[int, Meta(ge=0)] = 1 << 24  # space kept for recording that the disk is full; 0: none
    when_blocked: WhenBlocked = WhenBlocked.REFUSE
    side_file: Path | None = (
        None  # where requests are recorded then; needed for `deny-personal-data`, better on another disk
    )
    side_bytes: Annotated[int, Meta(ge=65536)] = 1 << 24  # of that file, at most
    scrub_hours: Annotated[float, Meta(ge=0)] = 168.0  # in which all records are read again and hashed; 0: never
    keep_decisions_days: Annotated[int, Meta(ge=1)] | None = None  # then their content is dropped; unset: never
    witnesses: tuple[WitnessedBySettings, ...] = ()
    witness_seconds: Annotated[float, Meta(gt=0)] = 10.0  # how often a log that has grown is shown to them
    witness_quorum: Annotated[int, Meta(ge=1)] = 1  # how many of them have to confirm
    witness_alarm_hours: Annotated[float, Meta(gt=0)] = 24.0  # without as many, until that is recorded


class PolicySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which policy rules, and whose signatures it needs.

    Without a folder: the bundle that `appliance policy apply` put in force, else the shipped one.
    """

    folder: Path | None = None
    four_eyes: bool = False
    hold_seconds: Annotated[float, Meta(gt=0)] = 600.0  # how long an answer with legal effect waits for a person
    signers: tuple[SignerSettings, ...] = ()


class StaffSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A person who may manage the service: the SHA-256 of a key of theirs, or a file that holds it."""

    id: _Name
    duties: Annotated[tuple[Duty, ...], Meta(min_length=1)]
    sha256: str | None = None
    file: Path | None = None


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything a running service was told."""

    state: Path = Path("var")
    server: ServerSettings = ServerSettings()
    keys: tuple[KeySettings, ...] = ()
    staff: tuple[StaffSettings, ...] = ()
    policy: PolicySettings = PolicySettings()
    detector: DetectorSettings = DetectorSettings()
    audit: AuditSettings = AuditSettings()
    witness: WitnessSettings = WitnessSettings()
    providers: tuple[ProviderSettings, ...] = ()
    backup: BackupSettings = BackupSettings()
    siem: tuple[SinkSettings, ...] = ()
    egress: EgressSettings = EgressSettings()
    router: RouterSettings = RouterSettings()
    aliases: tuple[AliasSettings, ...] = ()
    pseudonym_key_file: Path | None = None

    @property
    def log(self) -> LogSettings:
        """The log's own settings, every path filled in."""
        return LogSettings(
            path=self.audit.path or self.state / "audit" / "audit.db",
            kek_file=self.kek_file,
            signing_key_file=self.audit.signing_key_file or self.state / "keys" / "audit-signing.key",
            origin=self.audit.origin,
            max_bytes=self.audit.max_bytes,
            subject_keys_file=self.audit.subject_keys_file,
            epoch_key_file=self.audit.epoch_key_file,
            kek=kek_source(self.audit.kek, self.kek_file, self.audit.origin, broker=self.broker),
            reserve_bytes=self.audit.reserve_bytes,
            side_file=self.audit.side_file,
            side_bytes=self.audit.side_bytes,
        )

    @property
    def kek_file(self) -> Path:
        """The plain file of the log's key-encryption key, for the kind `file`; subjects' keys lie beside it whatever the kind."""
        return self.audit.kek_file or self.state / "keys" / "audit.kek"

    @property
    def broker(self) -> str:
        """The socket of the egress broker; "" where connections are made from here."""
        return str(self.egress.broker or "")

    @property
    def readings(self) -> Path:
        """Where the command line notes that it read the log, for the service to record."""
        return self.state / "readings"

    @property
    def timestamps(self) -> Path:
        """Where time-stamp tokens over the log's checkpoints are kept."""
        return self.state / "timestamps"

    @property
    def stop_mark(self) -> Path:
        """The mark that the log was stopped as rolled back."""
        return self.state / "rolled-back"

    @property
    def witness_key(self) -> Path:
        """The key that we cosign other logs with."""
        return self.witness.key_file or self.state / "keys" / "witness.key"

    @property
    def pseudonym_key(self) -> Path:
        """The file of the key behind pseudonyms of people."""
        return self.pseudonym_key_file or self.state / "keys" / "pseudonyms.key"

    @property
    def policy_path(self) -> Path:
        """The policy bundle in force."""
        if self.policy.folder is not None:
            return self.policy.folder
        return self.applied_policy if self.applied_policy.is_dir() else shipped_policy_path()

    @property
    def applied_policy(self) -> Path:
        """The link to the bundle that `appliance policy apply` put in force."""
        return self.state / "policies" / "current"

    @property
    def stops_path(self) -> Path:
        """Where the stops in force are kept."""
        return self.state / "governance" / "stops.json"

    @property
    def first_api_key(self) -> Path:
        """Where the first run leaves the API key of the default settings."""
        return self.state / "keys" / "first-api-key"


WEIGHTS = {
    "default": "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
    "small": "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
}
"""Weights of the embedded model by name, best first: the file each has under `var/models`."""


def default_settings(state: Path = Path("var"), local_model: str = "auto") -> Settings:
    """The settings of a first run: one key, one local provider.

    `local_model` is `default` or `small` (the mock stands in when its weights are not there), `none` (the mock), `auto` (the best
    weights that are there) or the path of a GGUF file.
    """
    local = _embedded(state, local_model) or TestingSettings(
        name="local", models=(ModelSettings(name="mock-normal", residency=Residency.LOCAL),)
    )
    settings = Settings(state=state, providers=(local,))
    policy = load_policy(settings.policy_path)
    names = tuple(sorted(policy.purposes))
    key = KeySettings(
        id="first", app="first-app", purposes=names, default_purpose="general", file=settings.first_api_key
    )
    return msgspec.structs.replace(settings, keys=(key,))


def _embedded(state: Path, local_model: str) -> EmbeddedSettings | None:
    """The embedded provider, if it can work here; a file that was asked for by its path is taken at its word."""
    named = {"none": (), "auto": tuple(WEIGHTS.values())}.get(local_model)
    if named is None:
        named = (WEIGHTS[local_model],) if local_model in WEIGHTS else ()
        if not named:
            return _engine_of(Path(local_model))
    found = [_engine_of(path) for name in named if (path := state / "models" / name).is_file()]
    return next((provider for provider in found if not check_provider(provider)), None)


def _engine_of(weights: Path) -> EmbeddedSettings:
    name = re.sub(r"[^a-z0-9._-]+", "-", weights.stem.lower())
    return EmbeddedSettings(
        name="local", model_file=str(weights), models=(ModelSettings(name=name, residency=Residency.LOCAL),)
    )


def load_settings(path: Path) -> Settings:
    """The settings in a file; relative paths in it are taken from the file's folder. Raises SettingsError."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError((f"`{path}`: файл настроек не читается ({error.strerror})",)) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError((f"`{path}`: это не TOML: {error}",)) from None
    base = path.absolute().parent
    document.setdefault("state", "var")
    with_default_kind(document)

    def convert(kind: type, value: object) -> object:
        if kind is Path and isinstance(value, str) and value:
            return base / Path(os.path.expanduser(value))  # noqa: PTH111  (Path.expanduser raises for an unknown user)
        raise TypeError(f"expected a path, got {type(value).__name__}")

    try:
        settings = msgspec.convert(document, Settings, dec_hook=convert)
    except msgspec.ValidationError as error:
        raise SettingsError((f"`{path}`: {error}",)) from None
    recognizers = str(base / settings.detector.recognizers) if settings.detector.recognizers else ""
    return msgspec.structs.replace(
        settings,
        detector=msgspec.structs.replace(settings.detector, recognizers=recognizers),
        providers=tuple(_anchored(provider, base) for provider in settings.providers),
    )


def _anchored(provider: ProviderSettings, base: Path) -> ProviderSettings:
    """A provider's settings with the paths of its files taken from the settings file's folder."""
    files = {name: getattr(provider, name) for name in provider.__struct_fields__ if name.endswith("_file")}
    anchored: ProviderSettings = msgspec.structs.replace(
        provider, **{name: str(base / path) for name, path in files.items() if path}
    )
    return anchored


def load_keyring(settings: Settings) -> Keyring:
    """The API keys of applications and of staff, read. Raises SettingsError."""
    return Keyring(
        (
            (_stored(key), Principal(key.id, key.app, frozenset(key.purposes), key.default_purpose, key.route))
            for key in settings.keys
        ),
        ((_stored(person), Officer(person.id, frozenset(person.duties))) for person in settings.staff),
    )


def load_governed(settings: Settings) -> tuple[Policy, Endorsement]:
    """The policy bundle that the settings name, and who stands behind it. Raises PolicyFileError with every problem."""
    policy = load_policy(settings.policy_path)
    endorsement = check_endorsement(
        settings.policy_path, policy.digest, settings.policy.signers, four_eyes=settings.policy.four_eyes
    )
    found = [*_purpose_problems(settings, policy), *_recipient_problems(settings, policy)]
    if found:
        raise PolicyFileError(tuple(found))
    return policy, endorsement


def _stored(key: KeySettings | StaffSettings) -> bytes:
    if (key.sha256 is None) == (key.file is None):
        raise SettingsError((f"ключ `{key.id}`: укажите либо `sha256`, либо `file`",))
    if key.sha256 is not None and not is_digest(key.sha256):
        raise SettingsError((f"ключ `{key.id}`: `sha256` — 64 шестнадцатеричные цифры в нижнем регистре",))
    return bytes.fromhex(key.sha256) if key.sha256 is not None else digest(_text(key.file))


def _text(path: Path | None) -> str:
    return "" if path is None else read_secret(path).decode("utf-8", "surrogateescape").strip()


def problems(settings: Settings) -> list[str]:
    """Every problem that would stop the service from starting or working, in Russian; empty when there is none. No network."""
    found = [
        *_key_problems(settings),
        *_file_problems(settings),
        *_route_problems(settings),
        *_witness_problems(settings),
        *problems_of_sinks(settings.siem),
    ]
    try:
        load_governed(settings)
    except PolicyFileError as error:
        found.extend(error.problems)
    if settings.detector.recognizers:
        found.extend(problems_of_recognizers(Path(settings.detector.recognizers)))
    return found


def _witness_problems(settings: Settings) -> list[str]:
    audit = settings.audit
    stopped = problem_of_stop(settings.stop_mark)
    found = [] if stopped is None else [stopped]
    found += problems_of_witnesses(audit.witnesses, audit.witness_quorum, audit.witness_alarm_hours * 3600)
    for path in settings.witness.logs:
        found += problems_of_text(path, Verifier.parse)
    return found


def _key_problems(settings: Settings) -> list[str]:
    found = [] if settings.keys else ["`keys`: нет ни одного ключа API: обращаться к сервису будет некому"]
    identifiers = [key.id for key in settings.keys]
    found.extend(
        f"ключ `{name}`: описан дважды"
        for name in sorted({name for name in identifiers if identifiers.count(name) > 1})
    )
    bearers: list[KeySettings | StaffSettings] = [*settings.keys, *settings.staff]
    for each in bearers:
        try:
            _stored(each)
        except SettingsError as error:
            found.extend(error.problems)
    people = [person.id for person in settings.staff]
    found.extend(
        f"сотрудник `{name}`: описан дважды" for name in sorted({name for name in people if people.count(name) > 1})
    )
    found.extend(
        f"ключ `{key.id}`: цели по умолчанию `{key.default_purpose}` нет среди `purposes`"
        for key in settings.keys
        if key.default_purpose is not None and key.default_purpose not in key.purposes
    )
    return found


def _purpose_problems(settings: Settings, policy: Policy) -> list[str]:
    return [
        f"ключ `{key.id}`: цели `{name}` нет в политике `{settings.policy_path}`"
        for key in settings.keys
        for name in key.purposes
        if name not in policy.purposes
    ]


def _recipient_problems(settings: Settings, policy: Policy) -> list[str]:
    return [
        f"поставщик `{provider.name}`: модель `{model.name}`: карточки `{model.recipient}` нет в политике `{settings.policy_path}`"
        for provider in settings.providers
        for model in provider.models
        if model.recipient and model.recipient not in policy.recipients
    ]


def _file_problems(settings: Settings) -> list[str]:
    found: list[str] = []
    try:
        read_secret(settings.pseudonym_key, size=KEY_SIZE)
    except SettingsError as error:
        found.extend(error.problems)
    found += problems_of_kek(settings.audit.kek, settings.kek_file, settings.audit.origin)
    try:
        check_signing_key(settings.log.signing_key_file)
    except AuditError as error:
        found.append(str(error))
    if settings.audit.when_blocked is WhenBlocked.DENY_PERSONAL_DATA and settings.audit.side_file is None:
        found.append("`audit.when_blocked`: для `deny-personal-data` укажите `audit.side_file`, лучше на другом диске")
    folder = settings.log.path.parent
    nearest = next((parent for parent in (folder, *folder.absolute().parents) if parent.exists()), folder)
    if not os.access(nearest, os.W_OK | os.X_OK):
        found.append(f"`{folder}`: в каталог журнала нельзя писать")
    if settings.log.path.exists() and not os.access(settings.log.path, os.W_OK):
        found.append(f"`{settings.log.path}`: журнал доступен только для чтения")
    return found


def _route_problems(settings: Settings) -> list[str]:
    found = [] if settings.providers else ["`providers`: нет ни одного поставщика модели"]
    names = [provider.name for provider in settings.providers]
    found.extend(
        f"поставщик `{name}`: описан дважды" for name in sorted({name for name in names if names.count(name) > 1})
    )
    for provider in settings.providers:
        for model in provider.models:
            try:
                msgspec.convert(f"{provider.name}/{model.name}", Id)
            except msgspec.ValidationError:
                found.append(
                    f"поставщик `{provider.name}`: имя модели `{model.name}` — латинские буквы, цифры и `._:@/-`, до 60 знаков"
                )
        found.extend(check_provider(provider))
    return found or _router_problems(settings)


def _router_problems(settings: Settings) -> list[str]:
    """Problems of what is built on routes that are themselves in order."""
    routes = routes_of(settings.providers)
    found = problems_of_aliases(routes, settings.aliases)
    ids = {route.id for route in routes}
    found.extend(
        f"`router.weights`: маршрута `{route_id}` нет среди `providers`"
        for route_id in settings.router.weights
        if route_id not in ids
    )
    for key in settings.keys:
        if key.route is not None and not _is_asked_for(key.route, settings):
            found.append(f"ключ `{key.id}`: `route` — не маршрут, не поставщик и не псевдоним: `{key.route}`")
    try:
        load_tariffs(settings.router.tariff_file)
    except UnusableSettingsError as error:
        found.append(str(error))
    return found


def _is_asked_for(name: str, settings: Settings) -> bool:
    """Whether a request for this name would find a route for one of the tasks."""
    directory = Directory(routes_of(settings.providers), settings.aliases)
    for task in Task:
        try:
            directory.resolve(name, task)
        except UnknownModelError:
            continue
        return True
    return False
