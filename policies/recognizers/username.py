"""Names people go by in networks, messengers and systems: «@name», links to profiles, and what stands after «логин»."""

from __future__ import annotations

import re
from collections.abc import Iterator

from policies.entities import Entity
from policies.finding import Finding
from policies.recognizers.identifier import LABELLED, LIKELY, MISTYPED, UNMISTAKABLE, Example
from policies.recognizers.tables import Headings


def find(lower: str, headings: Headings) -> Iterator[Finding]:
    """User names in a folded, lower-case text, the columns of its tables included."""
    for match in _LINK.finditer(lower):
        if match["name"] not in _PAGES and not match["name"].endswith("bot"):
            yield Finding(*match.span(), Entity.USERNAME, LABELLED)
    for match in _HANDLE.finditer(lower):
        if _is_persons(match, lower):
            yield Finding(*match.span(), Entity.USERNAME, UNMISTAKABLE)
    for match in _LABEL.finditer(lower):
        yield from _named(lower, match)
    for match in _LOGGED_IN.finditer(lower):
        if match["name"] not in _SERVICES:
            yield Finding(*match.span("name"), Entity.USERNAME, UNMISTAKABLE)
    for match in _PATH.finditer(lower):
        if match["name"] not in _SERVICES:
            yield Finding(*match.span("name"), Entity.USERNAME, MISTYPED)
    for start, end, heading in headings.cells():
        if _COLUMN.search(heading) and _NAME.fullmatch(lower, start, end) and lower[start:end] not in _SERVICES:
            yield Finding(start, end, Entity.USERNAME, LABELLED)


def _is_persons(match: re.Match[str], lower: str) -> bool:
    """Not an annotation, a decorator, a rule of a style sheet, a package or everybody in the room."""
    name = match["name"]
    if (
        name in _NOT_NAMES
        or name.endswith("bot")
        or _CODE_AFTER.match(lower, match.end())
        or lower.endswith("= ", 0, match.start())
    ):
        return False
    if lower[max(0, match.start() - 2) : match.start()] == "``":
        return False
    line_start = lower.rfind("\n", 0, match.start()) + 1
    if lower[line_start : match.start()].strip(" \t*/#"):
        return True
    # First in its line: a decorator stands alone there, above a definition.
    following = lower[match.end() : match.end() + 160]
    return not _DEFINITION.match(following)


def _named(lower: str, label: re.Match[str]) -> Iterator[Finding]:
    value = _VALUE.match(lower, label.end())
    if not value or value["name"] in _SERVICES or lower.endswith(":param ", 0, label.start()):
        return
    if value["name"].endswith(label["kind"]) and label["kind"].isascii():
        return  # «user=asked.user» is code
    name = value["name"]
    sure = bool(value["sign"]) or value["quoted"] is not None or label["kind"][0] in _CYRILLIC
    made_up = any(character in "0123456789_." for character in name)
    if (label["kind"] in _LOOSE or label["kind"].startswith("сотрудни")) and not made_up:
        return
    # «user login failed»: after an English word and a mere space only what is no English word itself.
    if sure or made_up:
        if name in _WORDS or (not made_up and not value["sign"] and len(name) < 4):
            return
        end = _TAG.match(lower, value.end("name"))
        yield Finding(
            value.start("name"),
            end.end() if end else value.end("name"),
            Entity.USERNAME,
            LABELLED if value["sign"] or made_up else LIKELY,
        )


_CYRILLIC = frozenset("абвгдеёжзийклмнопрстуфхцчшщъыьэюя")
_TAG = re.compile("#[0-9]{4}(?![0-9])")  # of Discord
_LOOSE = frozenset(
    {"owner", "author", "created_by", "updated_by", "sub", "principal", "account"}
)  # of teams and files too
_NAME = re.compile(r"@?[a-z0-9][a-z0-9_.@\\-]{1,63}")
_LINK = re.compile(
    r"(?<![a-z0-9_./@-])(?:https?://)?(?:www\.|m\.)?(?:t(?:elegram)?\.me|vk\.(?:com|ru)|vkontakte\.ru"
    r"|instagram\.com|ok\.ru(?:/profile)?"
    r"|facebook\.com|fb\.com|twitter\.com|x\.com|github\.com|gitlab\.com|linkedin\.com/in|tiktok\.com"
    r"|youtube\.com/@?|threads\.net"
    r"|dzen\.ru|habr\.com/(?:ru/)?users|pikabu\.ru|steamcommunity\.com/id|twitch\.tv|my\.mail\.ru/mail|max\.ru)"
    r"/@?(?P<name>[a-z0-9][a-z0-9_.-]{1,63}[a-z0-9_])(?:/(?=\s|$))?(?![a-z0-9_/-])"
)
# fmt: off
_PAGES = frozenset({
    "joinchat", "share", "feed", "im", "wall", "search", "login", "signup", "about", "help", "settings", "explore",
    "watch", "channel", "groups", "club", "public", "event", "home", "docs", "profile", "users", "apps", "features",
    "pricing", "marketplace", "topics", "orgs", "events", "market", "video", "music", "away.php", "s", "c",
    "playlist", "results", "reel", "p",
})
# fmt: on
_HANDLE = re.compile(r"(?<![a-z0-9а-яё_@./\\+&=-])@(?P<name>[a-z][a-z0-9_]{2,31}(?:[.][a-z0-9_]{2,31})?)(?![a-z0-9_@])")
_CODE_AFTER = re.compile(r"[ ]?[({=\[]|/|\.[a-z]|-[a-z]|:[a-z]")
_DEFINITION = re.compile(
    r"[ \t]*(?:#[^\n]{0,80})?(?:\n\s*(?:@|def |class |async |public |private |protected |static |final "
    r"|abstract |void |fun |function |export |const"
    r"|interface |enum |record |func )|(?:public|private|protected|static|final|def|class|fun|void)\b|\s*\{)"
)
# fmt: off
_NOT_NAMES = frozenset({
    "override", "deprecated", "test", "property", "staticmethod", "classmethod", "dataclass", "abstractmethod",
    "autowired", "component", "service", "repository", "controller", "entity", "bean", "param", "params", "return",
    "returns", "throws", "see", "author", "since", "version", "link", "inheritdoc", "nullable", "notnull", "media",
    "import", "keyframes", "font", "charset", "supports", "page", "layer", "tailwind", "apply", "include", "mixin",
    "extend", "here", "all", "channel", "everyone", "online", "types", "babel", "angular", "nestjs", "vue", "react",
    "injectable", "input", "output", "pytest", "fixture", "suppresswarnings", "transactional", "requestmapping",
    "getmapping", "postmapping", "restcontroller", "springbootapplication", "value", "data", "builder", "slf4j",
    "echo", "off", "set", "if", "endif", "else", "foreach", "section", "extends", "yield", "csrf", "functools",
    "cached_property", "cache", "lru_cache", "contextmanager", "overload", "final", "wraps", "example", "gmail",
    "mail", "yandex",
})
# fmt: on
# fmt: off
_SERVICES = frozenset({
    "root", "admin", "administrator", "administrators", "postgres", "mysql", "oracle", "sa", "nobody", "www-data",
    "nginx", "apache", "ubuntu", "debian", "centos", "user", "users", "username", "login", "guest", "test",
    "system", "service", "daemon", "backup", "default", "public", "all", "null", "none", "nil", "true", "false",
    "undefined", "anonymous", "app", "db", "redis", "mongo", "rabbitmq", "kafka", "docker", "git", "jenkins",
    "deploy", "runner", "ec2-user", "vagrant", "pi", "localhost", "localsystem", "superuser", "shared", "string",
    "str", "int", "varchar", "text", "required", "optional", "unknown", "empty", "id", "name", "password", "email",
})
# fmt: on
# fmt: off
_WORDS = frozenset({
    "and", "or", "not", "is", "for", "the", "with", "was", "has", "failed", "success", "successful", "error",
    "page", "form", "button", "field", "password", "name", "email", "sql", "vpn", "windows", "via", "from", "to",
    "in", "on", "at", "of", "id", "ad", "ldap", "domain", "active", "directory", "google", "yandex", "apple",
    "telegram", "whatsapp", "api", "web", "app", "wifi", "ssh", "rdp", "crm", "erp", "http", "https", "post", "get",
    "put", "select", "where", "values", "premium", "business", "pro", "support", "account", "user", "login", "url",
    "bool", "bytes", "final", "list", "dict", "any", "object", "option", "self", "type", "tuple", "set", "float",
    "expand", "get_user",
})
# fmt: on
_LABEL = re.compile(
    r"(?<![a-zа-яё])(?P<kind>логин\w{0,2}|юзер(?:нейм)?\w{0,2}|пользовател\w{1,3}|уч[её]тк\w{1,2}"
    r"|уч[её]тн\w{2} запис\w{1,2}|ник(?:нейм\w{0,2}|а|ом)?"
    r"|аккаунт\w{0,2}|акк|телеграм\w{0,2}|телег[аеу]|тг|инст(?:аграм\w{0,2}|а|е|у)?|вк|скайп\w{0,2}|дискорд\w{0,2}"
    r"|сотрудни\w{1,3}|account[_ ]?name|(?:[a-z]{1,12}[_-])?(?:login|user(?:[_ -]?(?:name|id|login))?"
    r"|nick(?:name)?|account|uid|uname)|log_?in[_ ]?name|screen[_ ]?name|telegram|tg|skype|discord"
    r"|instagram|owner|author|created_by|updated_by|samaccountname|owner_?login|sub|principal)(?![a-zа-яё])"
)
# Between a label and the name: a sign, or «в телеграме», or nothing but a space.
_VALUE = re.compile(
    r"(?:[\"'`\]]{0,2}[ \t]{0,3}(?P<sign>:=|=>|={1,2}|:|>|->|-(?= )|—)[ \t]{0,3}|(?: (?:мой|моя|для|у|это"
    r"|под|с именем|с логином|логин\w?|вот|в \w{2,12})){0,2}[ \t]{1,3}(?P<quoted>(?=[\"'`«]))?)"
    r"[\"'`«(]{0,2}(?:[a-z0-9-]{2,15}\\\\?)?(?P<name>@?[a-z0-9][a-z0-9._-]{1,39}[a-z0-9_])(?![a-z0-9_@а-яё(/:\[])(?!\.[a-z0-9(]"
    r"|=|[\"']\s{0,3}:)"
)
_PATH = re.compile(
    r"(?:[a-z]:\\{1,2}(?:users|documents and settings)\\{1,2}|/home/|/users/(?=[a-z0-9._-]+/)|[a-z][a-z0-9+]{1,20}://)"
    r"(?P<name>(?<=//)[a-z0-9._-]{3,40}(?=:[^\s/@:]{1,128}@)|(?<!//)[a-z0-9][a-z0-9._-]{1,39})(?![a-z0-9])"
)
_LOGGED_IN = re.compile(
    r"(?<![a-z])(?:ssh (?:-\S{1,12} (?:\S{1,40} )?)?|scp |sftp |(?:password|session opened"
    r"|publickey) for (?:invalid )?(?:user )?|live:)"
    r"(?P<name>[a-z0-9][a-z0-9._-]{1,39})(?=@| from |\s|$|[,;)(])"
)
_COLUMN = re.compile(
    r"(?<![a-zа-яё])(?:login|user ?name|user|nick|nickname|telegram|tg|skype|логин|ник|учетка|учётка"
    r"|пользователь|account name)(?![a-zа-яё])"
)

EXAMPLES = (
    Example("мой телеграм @ivan_petrov", ("@ivan_petrov",)),
    Example("Пиши @petrova88, отвечу", ("@petrova88",)),
    Example("t.me/ivan_petrov", ("t.me/ivan_petrov",)),
    Example("вк https://vk.com/id123456789", ("https://vk.com/id123456789",)),
    Example("подпишись на vk.com/anna.msk сегодня", ("vk.com/anna.msk",)),
    Example("логин ivanov_p пароль Zx7!synthetic", ("ivanov_p",)),
    Example("Логин: ivanov", ("ivanov",)),
    Example("user=ivan_petrov ip=10.1.2.3", ("ivan_petrov",)),
    Example('{"username": "anna.k"}', ("anna.k",)),
    Example("UPDATE users SET a=1 WHERE login='petrov_i';", ("petrov_i",)),
    Example("id;login;dept\n1;petrov.i;IT\n2;sidorov.p;HR", ("petrov.i", "sidorov.p")),
    Example("postgres://ivan_petrov:s3cretword@db.local:5432/app", ("ivan_petrov",)),
    Example("ник в дискорде: kotik2007", ("kotik2007",)),
    Example("Пользователь petrova_a не может войти", ("petrova_a",)),
    Example(r"C:\Users\i.petrov\Desktop", ("i.petrov",)),
    Example("учётка CORP\\ivanov заблокирована", ("ivanov",)),
    Example("@Test\npublic void works() {}"),
    Example("@app.route('/')\ndef index(): ..."),
    Example("@dataclass\nclass A: ..."),
    Example("почта ivan@example.ru"),
    Example("npm install @angular/core"),
    Example("@media (max-width: 600px) {}"),
    Example("user login failed, login page"),
    Example("Пользователь не может войти в систему"),
    Example("@all коллеги, добрый день"),
    Example("login: admin, user=root"),
    Example("https://github.com/encode/starlette"),
)
