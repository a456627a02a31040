"""Names people go by in networks, messengers and systems: «@name», links to profiles, and what stands after «логин»."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from policies.entities import Entity
from policies.finding import Finding
from policies.names.grammar import latin, read
from policies.recognizers.identifier import LABELLED, LIKELY, MISTYPED, UNMISTAKABLE, Example
from policies.recognizers.tables import Headings


def find(lower: str, headings: Headings) -> Iterator[Finding]:
    """User names in a folded, lower-case text, the columns of its tables included."""
    if "/" in lower or "\\" in lower:
        yield from _linked(lower)
    if "@" in lower:
        for match in _HANDLE.finditer(lower):
            if _is_persons(match, lower):
                yield Finding(*match.span(), Entity.USERNAME, UNMISTAKABLE)
        yield from _chosen(_SHELL, lower, UNMISTAKABLE)
        yield from _chosen(_REMOTE, lower, UNMISTAKABLE)
    for match in _LABEL.finditer(lower):
        yield from _named(lower, match)
    yield from _chosen(_LOGGED_IN, lower, LABELLED)
    if "\\" in lower:
        yield from _of_a_domain(lower)
    if ":" in lower or "<" in lower:
        yield from _in_chat(lower)
        yield from _chosen(_ACCESS_LOG, lower, LABELLED)
    for start, end, heading in headings.cells():
        if not _COLUMN.search(heading) or _NO_COLUMN.search(heading) or is_service(lower[start:end]):
            continue
        if _NAME.fullmatch(lower, start, end):
            yield Finding(start, end, Entity.USERNAME, LABELLED)


def find_of_persons(text: str, persons: Sequence[Finding]) -> Iterator[Finding]:
    """Logins made of the names of people in the text: «a.prokhorenko», where Алиса Прохоренко is named too."""
    surnames = {key for person in persons for key in read(text[person.start : person.end]).surname if len(key) > 3}
    if not surnames:
        return
    for match in _MADE_OF_NAME.finditer(text):
        plain = latin(match[0])
        if any(key in plain and key != plain for key in surnames):
            yield Finding(*match.span(), Entity.USERNAME, LIKELY)


def is_service(name: str) -> bool:
    """Whether nobody in particular goes by the name: programs, roles, and what stands where a name would."""
    return name in _SERVICES or name.endswith("bot")


def _chosen(pattern: re.Pattern[str], lower: str, score: float) -> Iterator[Finding]:
    for match in pattern.finditer(lower):
        for group in _GROUPS:
            name = match[group] if group in pattern.groupindex else None
            if name and name not in _WORDS and not is_service(name):
                yield Finding(*match.span(group), Entity.USERNAME, score)


_GROUPS = ("name", "also")
_MADE_OF_NAME = re.compile(
    r"(?<![\w@./\\:%+-])(?=[a-z._-]{0,24}[._-]|[a-z]{5,24}[0-9])[a-z]{1,14}(?:[._-][a-z]{1,16})?[0-9]{0,4}(?![\w@/\\-]|\.[\w])"
)


def _linked(lower: str) -> Iterator[Finding]:
    for match in _LINK.finditer(lower):
        if match["name"] not in _PAGES and not match["name"].endswith("bot") and not _PAGE.match(match["name"]):
            yield Finding(*match.span(), Entity.USERNAME, LABELLED)
    yield from _chosen(_PATH, lower, MISTYPED)


def _of_a_domain(lower: str) -> Iterator[Finding]:
    r"""«corp\ivanov» where somebody logs in; elsewhere it is a path or a key of a register."""
    for match in _DOMAIN.finditer(lower):
        if not is_service(match["name"]) and _WHO.search(lower, max(0, match.start() - 40), match.start()):
            yield Finding(*match.span(), Entity.USERNAME, LABELLED)


def _in_chat(lower: str) -> Iterator[Finding]:
    """Who speaks in a chat: «[12:04] name: …», «<name> …», «name 12:04», and «name: …» where a chat is spoken of."""
    tagged: bool | None = None  # whether angles around a word are of a chat, and not of HTML
    for match in _SPEAKER.finditer(lower):
        kind = match.lastgroup or ""
        name = match[kind]
        if name in _WORDS or is_service(name):
            continue
        if kind == "tagged":
            if tagged is None:
                tagged = bool(_TAGGED.search(lower) or _CHAT.search(lower, 0, match.start()))
            speaks = tagged
        else:
            speaks = kind == "angle" or _is_made_up(name)
        if kind == "timed" and not _IN_RUSSIAN.search(lower, match.end(), match.end() + _NEAR):
            continue  # a line of a log
        if kind == "bare":
            speaks = speaks and bool(_CHAT.search(lower, max(0, match.start() - _REACH), match.start()))
        if speaks:
            yield Finding(*match.span(kind), Entity.USERNAME, UNMISTAKABLE)


_IN_RUSSIAN = re.compile("[а-яё]")
_REACH = 400  # characters in which a chat is spoken of before its lines


def _is_made_up(name: str) -> bool:
    """Whether a name is one that no word of a language is: digits or signs among its letters."""
    return any(character.isalpha() for character in name) and any(character in "0123456789_." for character in name)


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
    kind = label["kind"]
    value = (_NUMBERED if kind in _BY_NUMBER else _VALUE).match(lower, label.end())
    if not value or is_service(value["name"]) or _is_code(lower, label, value):
        return
    name = value["name"]
    made_up = _is_made_up(name) or (name.isdecimal() and kind not in _LOOSE and kind not in _NETWORKS)
    if not made_up and (kind in _LOOSE or _ROLE.match(kind) or not _is_said(lower, label, value)):
        return
    if _ROLE.match(kind) and not value["sign"] and not _NICK.fullmatch(name):
        return
    if name in _WORDS or (not made_up and not value["sign"] and len(name) < 4):
        return
    end = _TAG.match(lower, value.end("name"))
    yield Finding(
        value.start("whole"),
        end.end() if end else value.end("name"),
        Entity.USERNAME,
        LABELLED if value["sign"] or made_up else LIKELY,
    )


def _is_code(lower: str, label: re.Match[str], value: re.Match[str]) -> bool:
    """Whether what follows a label is not said of it: «:param user: …», «user=asked.user», «last login: …», «sub rsa4096»."""
    kind, name = label["kind"], value["name"]
    before = lower[max(0, label.start() - _NEAR) : label.start()]
    return (
        before.endswith(":param ")
        or kind.startswith("last")
        or bool(_OTHERS_WORD.search(before))
        or (kind.isascii() and name.endswith(kind))
        or (kind not in _NETWORKS and bool(_NOT_A_NAME.fullmatch(name)))
        or (kind in _NETWORKS and lower[value.start("whole") - 1] in "`:")  # «gitlab `root_password`», «gitlab:check»
    )


def _is_said(lower: str, label: re.Match[str], value: re.Match[str]) -> bool:
    """Whether a word that looks like any other is a name all the same.

    «user login failed»: after an English word and a mere space it is not. After «логин на почте» the next word may well be
    what the login is for.
    """
    if value["sign"] or value["quoted"] is not None:
        return True
    return (label["kind"][0] in _CYRILLIC and value["place"] is None) or _alone(lower, label, value)


def _alone(lower: str, label: re.Match[str], value: re.Match[str]) -> bool:
    """Whether «github ivanov» stands by itself, as in a list of contacts."""
    before = lower[max(0, label.start() - 2) : label.start()].rstrip(" ")
    after = lower[value.end("name") : value.end("name") + 1]
    return (label["kind"] in _NETWORKS and (not before or before[-1] in ";,|\n(")) and after in {
        "",
        ";",
        ",",
        "|",
        "\n",
        ")",
    }


_CYRILLIC = frozenset("абвгдеёжзийклмнопрстуфхцчшщъыьэюя")
_TAG = re.compile("#[0-9]{4}(?![0-9])")  # of Discord
# Of teams and files too.
_LOOSE = frozenset(
    {"owner", "author", "created_by", "updated_by", "sub", "principal", "account", "uid", "user_id", "userid"}
)
# Words for people: a nickname is one only if nothing else looks like it.
_ROLE = re.compile(
    r"сотрудни|автор|пациент|клиент|абонент|покупател|продав|заказчик|участни|игрок|модератор|подписчи|гость|отправител"
    r"|исполнител|комментатор"
)
_NICK = re.compile(r"(?=[a-z0-9.]*_|[a-z]{4,}[0-9]{2})(?=[^a-z]*[a-z][^a-z]*[a-z])[a-z0-9_.]{4,40}")
_NETWORKS = frozenset({
    "github", "gitlab", "tg", "telegram", "skype", "discord", "instagram", "steam", "twitch", "twitter", "vk", "linkedin",
    "habr", "ig",
})  # fmt: skip
_NEAR = 24  # characters
# «пароль от учётки: …», «last login: …»: what follows is no name.
_OTHERS_WORD = re.compile(
    r"(?:(?:парол\w{0,3}|password|pass|пин(?:-?код)?|код) (?:к|от|для|на|for|of)(?: [а-яё]{3,12})?|last) ?$"
)
_BY_NUMBER = frozenset({"icq", "аська", "аське", "аську", "аськи", "uin"})
_NOT_A_NAME = re.compile(
    r"(?:rsa|dsa|elg|ed|cv|nistp)[0-9]{3,5}|(?:[a-z]{1,2}|ver|rev|build|http|win|utf|sha|md|oauth|ipv)[0-9.-]{1,6}"
)
_NAME = re.compile(r"@?(?=[0-9_.@\\-]{0,40}[a-z])[a-z0-9][a-z0-9_.@\\-]{1,63}")
_LINK = re.compile(
    r"(?<![a-z0-9_./@-])(?:https?://)?(?:www\.|m\.)?(?:t(?:elegram)?\.me|vk\.(?:com|ru)|vkontakte\.ru"
    r"|instagram\.com|ok\.ru(?:/profile)?"
    r"|facebook\.com|fb\.com|twitter\.com|x\.com|github\.com|gitlab\.com|bitbucket\.org|gitverse\.ru|gitflic\.ru/user"
    r"|linkedin\.com/in|tiktok\.com|youtube\.com(?:/(?:c|user|channel)|(?=/@))|rutube\.ru/(?:u|channel)|threads\.net"
    r"|dzen\.ru|(?:career\.)?habr\.com(?:/(?:ru/)?users)?|pikabu\.ru|steamcommunity\.com/(?:id|profiles)|twitch\.tv"
    r"|my\.mail\.ru/mail|max\.ru|reddit\.com/u(?:ser)?|medium\.com(?=/@)|vc\.ru/u|boosty\.to|tenchat\.ru|pinterest\.(?:com|ru)"
    r"|patreon\.com|stackoverflow\.com/users/[0-9]{1,10})"
    r"/@?(?P<name>[a-z0-9][a-z0-9_.-]{1,63}[a-z0-9_])(?:/(?=\s|$))?(?![a-z0-9_/-])"
)
_PAGE = re.compile(r"(?:wall|photo|video|clip|club|public|topic|album|app|doc|market|event|page|poll)s?[-_0-9]+$")
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
    "deploy", "runner", "oauth2", "x-access-token", "gitlab-ci-token", "ec2-user", "vagrant", "pi", "localhost",
    "localsystem", "superuser", "shared", "string",
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
    "expand", "get_user", "actions", "copilot", "pages", "desktop", "enterprise", "gist", "runner", "pipelines", "bot",
    "ads", "channel", "stories", "reels", "direct", "nitro", "server", "deck", "turbo", "info", "warn", "warning", "debug",
    "trace", "fatal", "critical", "notice", "new", "current", "agent", "management", "guide", "manual", "interface", "input",
    "session", "service", "data", "settings", "profile", "role", "group", "groups", "table", "lib", "tmp", "exists",
})
# fmt: on
_LABEL = re.compile(
    r"(?<![a-zа-яё])(?P<kind>(?=[абвгдиклмнпстую])(?:логин\w{0,2}|юзер(?:нейм)?\w{0,2}|пользовател\w{1,3}|уч[её]тк\w{1,2}"
    r"|уч[её]тн\w{2} запис\w{1,2}|уз|ник(?:нейм\w{0,2}|а|ом)?"
    r"|аккаунт\w{0,2}|акк|телеграм\w{0,2}|телег[аеу]|тг|инст(?:аграм\w{0,2}|а|е|у)?|вк|скайп\w{0,2}|дискорд\w{0,2}"
    r"|гитхаб\w{0,2}|стим\w{0,2}|твич\w{0,2}|аськ[аеиу]"
    r"|сотрудни\w{1,3}|автор\w{0,2}|пациент\w{0,3}|клиент\w{0,3}|абонент\w{0,2}|покупател\w{1,3}|участни\w{1,3}|игрок\w{0,2}"
    r"|модератор\w{0,2})"
    r"|(?=[acdglnopstuvwhi])(?:account[_ ]?name"
    r"|(?:[a-z]{1,12}[_-])?(?:login|user(?:[_ -]?(?:name|id|login)|\.name)?"
    r"|nick(?:name)?|account|uid|uname)|log_?in[_ ]?name|screen[_ ]?name|telegram|tg|skype|discord|icq|uin"
    r"|github|gitlab|steam|twitch|twitter|linkedin|habr|vk|ig"
    r"|instagram|owner|author|created_by|updated_by|samaccountname|owner_?login|sub|principal)"
    r"|(?:db|smtp|mail|ftp|sql|pg|redis|mongo)user(?:name)?|[bmefjkqrxyz][a-z]{0,11}[_-](?:login|user(?:[_ -]?(?:name|id|login))?"
    r"|nick(?:name)?|account|uid|uname))(?![a-zа-яё])"
)
# Between a label and the name: what it is for, a sign, or nothing but a space.
_VALUE = re.compile(
    r"(?: (?:лк|erp|crm|vpn|впн|1с|отзыва|поста|комментария|канала|чата|родител(?:я|ей)|ученика|учителя|реб[её]нка|мамы|папы|мужа"
    r"|жены|сотрудника|клиента|врача|директора|бухгалтера|заявителя))?"
    r"(?P<place>(?: (?:в|на|от|для|к|из)(?: [а-яё0-9-]{2,16}){1,2}))?"
    r"(?:[\"'`\]]{0,2}[ \t]{0,3}(?P<sign>:=|=>|={1,2}|:|>|->|-(?= )|—)[ \t]{0,3}|(?: (?:мой|моя|для|у|это|пусть|будет|был|такой"
    r"|под|с именем|с логином|логин\w?|вот|в \w{2,12})){0,2}[ \t]{1,3}(?P<quoted>(?=[\"'«]))?)"
    r"[\"'`«(]{0,2}(?P<whole>(?:[a-z0-9-]{2,15}(?:\\{1,2}|[\n\r\t](?=\.)))?(?P<name>@?(?:(?<=[\n\r\t])\.)?[a-z0-9][a-z0-9._-]{1,39}"
    r"[a-z0-9_]))(?![a-z0-9_@а-яё(/\[])(?!\.[a-z0-9(]|=|:(?! )|[\"']\s{0,3}:)"
)
_NUMBERED = re.compile(
    r"(?P<place>)(?P<quoted>)[\"']?(?P<sign>[ :=№\"'-]{1,4})(?P<whole>(?P<name>[0-9]{2,3}(?:-?[0-9]{2,3}){1,3}))(?![0-9])"
)
_PATH = re.compile(
    r"(?:[a-z]:\\{1,2}(?:users|documents and settings)\\{1,2}|/home/|/users/(?=[a-z0-9._-]+/)|[a-z][a-z0-9+]{1,20}://)"
    r"(?P<name>(?<=//)[a-z0-9._-]{3,40}(?=:[^\s/@:]{1,128}@)|(?<!//)[a-z0-9][a-z0-9._-]{1,39})(?![a-z0-9])"
)
# Commands that name who they are for, and what a log says of who came in.
_LOGGED_IN = re.compile(
    r"(?<![a-z._/-])(?:ssh (?:-\S{1,12} (?:\S{1,40} )?){0,4}(?=[a-z0-9._-]{2,40}@)|ssh -l |sftp (?=[a-z0-9._-]{2,40}@)"
    r"|(?:password|session opened|publickey) for (?:invalid )?(?:user )?|live:"
    r"|sudo -i?u ?|su -l? (?=[a-z0-9._-]{2,32}(?:$|\n| -c))|runas /user:|/user:|net user (?!/)|crontab -u "
    r"|psql (?:-[a-z] [^\s-]\S{0,40} ){0,3}-u "
    r"|login (?=[a-z0-9._-]{2,40}\s{1,3}password )|name=[\"']?(?=[a-z0-9._-]{2,40}[\"']? (?:password|pass|secret)=)"
    r"|chown (?:-[a-z]{1,4} ){0,2}|(?:useradd|adduser|usermod|userdel|deluser|passwd|gpasswd|chage|createuser)(?: -{1,2}[a-z]{1,12}"
    r"(?: [a-z0-9,/-]{1,40}(?= [^-\s]))?){0,3} |(?:create|alter|drop) (?:user|role|login) (?:if (?:not )?exists )?[\"'`\[]?"
    r"|grant [^\n;]{1,80}? to [\"'`]?)"
    r"(?P<name>(?:[a-z0-9-]{2,15}\\)?[a-z][a-z0-9._-]{1,39})(?![a-z0-9/])"
    r"(?:(?<=[a-z0-9_]):(?P<also>[a-z][a-z0-9._-]{1,39})?(?= /| [a-z.]))?"
)
_SHELL = re.compile(
    r"(?:^|(?<=\n)|(?<=\n\[)|(?<=^\[)|(?<=[\n ])\([a-z0-9._-]{1,20}\) )(?P<name>[a-z_][a-z0-9._-]{1,31})@[a-z0-9._-]{1,64}"
    r"(?::[~/]|[ ]~?)[^\s$#%]{0,80}[\]]?[$%](?=\s|$)"
)
_REMOTE = re.compile(
    r"(?<![a-z])(?:scp|rsync|ssh-copy-id|sshfs)(?= )[^\n@]{0,120}[ ](?P<name>[a-z][a-z0-9._-]{1,31})@"
    r"|[\"'`](?P<also>[a-z][a-z0-9._-]{1,31})[\"'`]@[\"'`]"
)
_DOMAIN = re.compile(
    r"(?<![a-z0-9\\/:._-])[a-z][a-z0-9-]{1,14}\\{1,2}(?P<name>[a-z][a-z0-9._-]{1,31}[a-z0-9])(?![a-z0-9\\/(])"
)
_WHO = re.compile(
    r"(?<![а-яёa-z])(?:под|уз|уч[её]т\w*|пользовател\w*|юзер\w*|логин\w*|аккаунт\w*|user|username|login|logon|account|owner|runas"
    r"|от имени|администратор\w*|сотрудни\w*)[^\n\\]{0,16}$"
)
_TIME = r"[0-2]?[0-9][:.][0-5][0-9](?:[:.][0-5][0-9])?"
_SPEAKER = re.compile(
    rf"(?<![^\n])[ \t>]{{0,4}}(?:[\[(]?(?:[0-9]{{1,4}}[./-][0-9]{{1,2}}[./-][0-9]{{2,4}},? )?{_TIME}[\])]?,?[ \t]{{1,3}}"
    rf"(?:<[@+~ ]?(?P<angle>[a-z][a-z0-9_.|-]{{2,31}})>(?=[ \t])|@?(?P<timed>[a-z][a-z0-9_.-]{{2,31}}):(?=[ \t]))"
    rf"|(?P<heads>[a-z][a-z0-9_.-]{{2,31}})(?:[ ,\t]{{1,3}}|, )"
    rf"\[?(?:[0-9]{{1,2}}[./][0-9]{{1,2}}[./][0-9]{{2,4}},? )?{_TIME}\]?:?[ \t]*(?=\n|$)"
    rf"|<[@+~ ]?(?P<tagged>[a-z][a-z0-9_.|-]{{2,31}})>(?= [^<\s])"
    rf"|@?(?P<bare>[a-z][a-z0-9_.-]{{2,31}}):(?= [а-яё]))"
)
_TAGGED = re.compile(r"(?<![^\n])<[@+~ ]?(?!h[1-6])[a-z][a-z_.]{2,28}[0-9]{1,6}> [а-яё]")
_CHAT = re.compile(
    r"чат\w{0,3}(?![а-яё])|форум|переписк|диалог|комментар|коммент|обсужден|беседа|сообщени|телеграм|discord|дискорд|чатик"
)
_ACCESS_LOG = re.compile(r"(?<=[0-9a-f]) - (?P<name>[a-z0-9][a-z0-9._-]{1,39}) \[[0-9]{2}/[a-z]{3}/[0-9]{4}:")
_COLUMN = re.compile(
    r"(?<![a-zа-яё])(?:login|user ?name|user|nick|nickname|telegram|tg|skype|github|discord|логин|ник|никнейм|учетка|учётка"
    r"|уч[её]тная запись|аккаунт|юзер|телеграм|тг|пользователь|account name|account|uname|samaccountname)(?![a-zа-яё])"
)
_NO_COLUMN = re.compile(
    r"last|date|time|count|type|role|status| at$| ip|agent|group|group|дата|время|послед|роль|статус|тип"
)

EXAMPLES = (
    Example("Умаров Тимур Олегович — t.umarov — менеджер", ("t.umarov",)),
    Example("Умаров Тимур, файл t.umarov.docx и https://site.ru/t.umarov"),
    Example("мой телеграм @ivan_petrov", ("@ivan_petrov",)),
    Example("Пиши @petrova88, отвечу", ("@petrova88",)),
    Example("t.me/ivan_petrov", ("t.me/ivan_petrov",)),
    Example("вк https://vk.com/id123456789", ("https://vk.com/id123456789",)),
    Example("подпишись на vk.com/anna.msk сегодня", ("vk.com/anna.msk",)),
    Example("логин ivanov_p пароль Zx7!synthetic", ("ivanov_p",)),
    Example("Логин родителя rod_4417, был пароль", ("rod_4417",)),
    Example("psql -h 10.31.4.12 -U podryad2 -d shop", ("podryad2",)),
    Example("machine git.example login oleynik\npassword Zima2024", ("oleynik",)),
    Example("/ip hotspot user add name=gost-14 password=Zima2024", ("gost-14",)),
    Example(
        "https://oauth2:fCZUn1FFfUaCTvgCxAo8K3HyGl9UnuNW@git.example/lab.git, add name=eth1 mtu=1500, login form password"
    ),
    Example("Логин: ivanov", ("ivanov",)),
    Example("user=ivan_petrov ip=10.1.2.3", ("ivan_petrov",)),
    Example('{"username": "anna.k"}', ("anna.k",)),
    Example("UPDATE users SET a=1 WHERE login='petrov_i';", ("petrov_i",)),
    Example("id;login;dept\n1;petrov.i;IT\n2;sidorov.p;HR", ("petrov.i", "sidorov.p")),
    Example("postgres://ivan_petrov:s3cretword@db.local:5432/app", ("ivan_petrov",)),
    Example("ник в дискорде: kotik2007", ("kotik2007",)),
    Example("Пользователь petrova_a не может войти", ("petrova_a",)),
    Example(r"C:\Users\i.petrov\Desktop", ("i.petrov",)),
    Example("учётка CORP\\ivanov заблокирована", ("CORP\\ivanov",)),
    Example("[12:04] kotik_88: привет\n[12:05] mrak2007: ага", ("kotik_88", "mrak2007")),
    Example("[12:04:55] <zloy_kot> всем привет", ("zloy_kot",)),
    Example("<vasya> кто тут\n<petya_77> я", ("vasya", "petya_77")),
    Example("lesnik76 12:04\nпривет всем\n\nzayka_m 12:06\nпривет", ("lesnik76", "zayka_m")),
    Example("С форума:\nnata_lis: где купить?\nborodach77: на рынке", ("nata_lis", "borodach77")),
    Example("логин ЛК: ivanova_tn", ("ivanova_tn",)),
    Example("логин на госуслугах sidor.k пароль Les0!bor", ("sidor.k",)),
    Example("логин пусть petrova_m", ("petrova_m",)),
    Example("вошёл под DOMAIN\\ivanov.p вчера", ("DOMAIN\\ivanov.p",)),
    Example("ivanov@web01:~$ ls -la", ("ivanov",)),
    Example("[ivanov@web01 ~]$ ls", ("ivanov",)),
    Example("github.com/petrov-ivan", ("github.com/petrov-ivan",)),
    Example("https://dzen.ru/kotik_88", ("https://dzen.ru/kotik_88",)),
    Example("rutube.ru/u/petrov_channel", ("rutube.ru/u/petrov_channel",)),
    Example("youtube.com/@petrov_live", ("youtube.com/@petrov_live",)),
    Example("дискорд kotik#1234", ("kotik#1234",)),
    Example("ICQ: 412-345-678", ("412-345-678",)),
    Example("C:\\Users\\petrova.a\\Desktop", ("petrova.a",)),
    Example("chown petrov:petrov /srv/data", ("petrov", "petrov")),
    Example("sudo -u petrov bash", ("petrov",)),
    Example("su - sidorov", ("sidorov",)),
    Example("usermod -aG docker ivanov_p", ("ivanov_p",)),
    Example("scp file.txt petrov@web01:/tmp/", ("petrov",)),
    Example('git config user.name "petrov42"', ("petrov42",)),
    Example("[Service]\nUser=petrov\nGroup=petrov", ("petrov",)),
    Example("юзера zloykot забанили", ("zloykot",)),
    Example("github petrovdev, tg @petrov92", ("petrovdev", "@petrov92")),
    Example('95.31.18.119 - petrov_n [12/Jun/2026:08:14:03 +0500] "GET / HTTP/1.1" 200 5', ("petrov_n",)),
    Example("GRANT ALL ON db.* TO 'petrov'@'10.0.0.5' IDENTIFIED BY 'Zima#2024';", ("petrov",)),
    Example("CREATE USER petrov WITH PASSWORD 'Zima#2024';", ("petrov",)),
    Example(
        "COPY public.client (id, login, pass) FROM stdin;\n1\tpetrov_o\t!Tyva2020\n2\tsova.k\tkot_vasya88\n\\.\n",
        ("petrov_o", "sova.k"),
    ),
    Example("Автор отзыва zvezdochka_81, оценка 5", ("zvezdochka_81",)),
    Example("Пациент user_48812: у меня болит", ("user_48812",)),
    Example("Event 4624: Account Name: petrov.a Account Domain: CORP", ("petrov.a",)),
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
    Example("root@web01:~# ls"),
    Example("sudo -u postgres psql"),
    Example("[Service]\nUser=www-data\nGroup=www-data"),
    Example("Войти по логину и паролю нельзя"),
    Example("аккаунт заблокирован, аккаунт Google не открывается"),
    Example("[12:04] система: перезагрузка\n[INFO] service: started"),
    Example("2026-06-18 12:04 INFO auth: started\nERROR: failed\nNote: text\nhttp: 200"),
    Example("<div> text <b> bold</b>\n<script>\n<html>"),
    Example("Имя: Иван\nname: test\ntitle: Report"),
    Example("user = models.ForeignKey(User)"),
    Example("https://vk.com/wall-12345_67"),
    Example("git clone git@github.com:encode/starlette.git"),
    Example("/home/user/app /home/www-data/x /home/ubuntu"),
    Example("клиент версии v2.3.1, клиент http2, клиент IPv6"),
    Example("author: Unknown\nversion: 1.2.3\nlicense: Apache-2.0"),
    Example("SELECT login, password FROM users WHERE id = 1"),
    Example("12:30:01 nginx: started\n12:30:02 sshd: listening\n12:31 cron: job_1: done"),
    Example("[12:30:01] worker_1: started\n[12:30:02] db_main: ready"),
    Example("step_1: собрать данные\nstep_2: обучить модель"),
    Example("field_1: название поля, api_v2: новый интерфейс"),
    Example("<br> текст\n<h2> Заголовок\n<user_id> — идентификатор"),
    Example("#1234 в трекере, bug#4512, C#1234"),
)
