"""Keys, tokens and passwords: by the prefixes their makers give them, and by the words that stand before them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from policies.entities import Entity
from policies.finding import Finding
from policies.recognizers.identifier import LABELLED, LIKELY, UNMISTAKABLE, Example
from policies.recognizers.tables import Headings


def find(text: str, start: int, end: int) -> Iterator[Finding]:
    """Secrets that begin between `start` and `end` of the *original* text; a private key may well reach beyond."""
    for anchor in _ANCHOR.finditer(text, start, min(len(text), end + _LOOK_AHEAD)):
        if anchor.start() < end:
            yield from _RULES[anchor.lastgroup or ""](text, anchor)


def find_cells(lower: str, headings: Headings) -> Iterator[Finding]:
    """Passwords in the columns of tables that say so."""
    for start, end, heading in headings.cells():
        if _COLUMN.search(heading) and 4 <= end - start <= 128 and not _NOT_A_VALUE.match(lower, start, end):
            yield Finding(start, end, Entity.PASSWORD, LABELLED)


def _private_key(text: str, anchor: re.Match[str]) -> Iterator[Finding]:
    end = text.find(_KEY_FOOTER, anchor.end(), anchor.end() + _LONGEST_KEY)
    if end >= 0 and _KEY_BODY.fullmatch(text, anchor.end(), end):
        line = text.find("-----", end + len(_KEY_FOOTER), end + 80)
        end = line + 5 if line >= 0 else end + len(_KEY_FOOTER)
    else:
        # A key whose end was cut off is still a key: all that looks like its body belongs to it.
        body = _CUT_KEY_BODY.match(text, anchor.end(), anchor.end() + _LONGEST_KEY)
        end = body.end() if body else anchor.end()
    yield Finding(anchor.start(), end, Entity.SECRET, LABELLED)


def _token(text: str, anchor: re.Match[str]) -> Iterator[Finding]:
    match = _TOKEN.match(text, anchor.start())
    if match:
        yield Finding(*match.span(), Entity.SECRET, LABELLED)


def _bot(text: str, anchor: re.Match[str]) -> Iterator[Finding]:
    # The anchor is «:AA»; the bot's number stands before it.
    number = _BOT_NUMBER.search(text, max(0, anchor.start() - 12), anchor.start())
    rest = _BOT_REST.match(text, anchor.start())
    if number and rest:
        yield Finding(number.start(), rest.end(), Entity.SECRET, LABELLED)


def _url(text: str, anchor: re.Match[str]) -> Iterator[Finding]:
    match = _URL_PASSWORD.match(text, anchor.end())
    if match:
        yield Finding(*match.span("password"), Entity.PASSWORD, LABELLED)


def _password(text: str, anchor: re.Match[str]) -> Iterator[Finding]:
    if _WITH_LOGIN.search(text, max(0, anchor.start() - 24), anchor.start()):
        pair = _PAIR.match(text, anchor.end())
        if pair:
            yield Finding(*pair.span("login"), Entity.USERNAME, UNMISTAKABLE)
            yield Finding(*pair.span("value"), Entity.PASSWORD, UNMISTAKABLE)
            return
    match = _ASSIGNED.match(text, anchor.end())
    if match and _is_value(match["value"]) and text[match.end("value") : match.end("value") + 1] != "(":
        yield Finding(*match.span("value"), Entity.PASSWORD, UNMISTAKABLE)
        return
    match = _QUOTED.match(text, anchor.end())
    if match and not anchor[0].isascii() and _is_value(match["value"]):
        yield Finding(*match.span("value"), Entity.PASSWORD, LIKELY)
        return
    # «пароль Qwerty12» without a sign between: only a word that no sentence would hold.
    match = _SAID.match(text, anchor.end())
    if match and (_is_made_up(match["value"]) or _is_foreign_word(anchor[0], match["value"])):
        yield Finding(*match.span("value"), Entity.PASSWORD, LIKELY)


def _is_foreign_word(label: str, value: str) -> bool:
    """«пароль gfhjkm»: a word in Latin letters after one in Russian, that is not what the password is for."""
    return not label.isascii() and bool(_LATIN_WORD.fullmatch(value)) and not _PRODUCT.match(value)


def _option(text: str, anchor: re.Match[str]) -> Iterator[Finding]:
    """What commands take a password by: `curl -u name:password`, `mysql -ppassword`."""
    match = _OPTION.match(text, anchor.start())
    if match and _COMMAND.search(text, max(0, anchor.start() - 120), anchor.start()):
        yield Finding(*match.span(match.lastgroup or 0), Entity.PASSWORD, UNMISTAKABLE)


def _account(text: str, anchor: re.Match[str]) -> Iterator[Finding]:
    """«учётка ivanov / Qwerty12»: both after one word."""
    pair = _BOTH.match(text, anchor.end())
    if pair and _is_made_up(pair["value"]):
        yield Finding(*pair.span("login"), Entity.USERNAME, UNMISTAKABLE)
        yield Finding(*pair.span("value"), Entity.PASSWORD, UNMISTAKABLE)


def _pin(text: str, anchor: re.Match[str]) -> Iterator[Finding]:
    match = _PIN.match(text, anchor.end())
    if match:
        yield Finding(*match.span("value"), Entity.PASSWORD, UNMISTAKABLE)


def _basic(text: str, anchor: re.Match[str]) -> Iterator[Finding]:
    match = _BASIC.match(text, anchor.end())
    if match:
        yield Finding(*match.span("value"), Entity.SECRET, UNMISTAKABLE)


def _key(text: str, anchor: re.Match[str]) -> Iterator[Finding]:
    match = _ASSIGNED.match(text, anchor.end()) or _BEARER.match(text, anchor.end())
    if match and len(match["value"]) >= 12 and not _ATTRIBUTE.fullmatch(match["value"]) and _is_made_up(match["value"]):
        yield Finding(*match.span("value"), Entity.SECRET, UNMISTAKABLE)


def _is_value(value: str) -> bool:
    """Not a placeholder, a variable, a call or a type: what documentation writes where a password would stand."""
    return len(value) >= 4 and not _NOT_A_VALUE.match(value)


def _is_made_up(value: str) -> bool:
    """Whether a word mixes letters with digits or signs, or changes case inside, as words of a language do not."""
    if _NOT_A_VALUE.match(value):
        return False
    has_digit = any(character.isdigit() for character in value)
    has_letter = any(character.isalpha() for character in value)
    mixed_case = value[1:] != value[1:].lower() and value != value.upper() and value.isascii()
    return len(value) >= 6 and has_letter and (has_digit or mixed_case or any(sign in value for sign in "!@#$%^&*"))


_RULES = {
    "pem": _private_key,
    "token": _token,
    "bot": _bot,
    "url": _url,
    "password": _password,
    "key": _key,
    "option": _option,
    "pin": _pin,
    "account": _account,
    "basic": _basic,
}

_LOOK_AHEAD = 160  # characters: more than any anchor with what it looks ahead for
_LONGEST_KEY = 16_384
_KEY_FOOTER = "-----END "

_ANCHOR = re.compile(
    r"(?P<pem>-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----)"
    r"|(?P<token>(?<![A-Za-z0-9_-])(?:sk-|sk_live_|rk_live_|pk_live_|AKIA|ASIA|AIza|gh[opsur]_|github_pat_|glpat-"
    r"|xox[abeoprs]-|xapp-|AQVN|t1\.|y[0-3]_|hf_|hooks\.slack\.com/services/|npm_|pypi-|dop_v1_|SG\.|eyJ))"
    r"|(?P<bot>(?<=[0-9]):AA)"
    r"|(?P<url>(?<=[a-z]):[/]{2}(?=[^\s/:@]{0,64}:))"
    r"|(?P<password>(?=[pPпПкКсС])(?i:passwords?|passwd|pwd|passphrase|passcode|psw[rd]?|парол[а-яё]{0,4}"
    r"|пасс(?=[ =:\"'])|(?<![A-Za-z])pass(?=[ =:\"'])|(?:кодов|секретн)[а-яё]{2,3} (?:слов[а-яё]{1,2}"
    r"|фраз[а-яё])))"
    r"|(?P<pin>(?=[pPпП])(?i:(?<![а-яёa-z])(?:пин(?:-?код)?|pin(?:-?code)?)(?=[ =:])))"
    r"|(?P<option>(?<=\s)-(?:u|p(?=\S{4}))|--user(?=[ =]))"
    r"|(?P<account>(?=[уУлЛдД])(?i:уч[её]тк[аиу]|логин|доступы?)(?=[ :]))"
    r"|(?P<basic>(?=[Aa])(?i:authorization[\"']?\s?[:=]\s?[\"']?basic))"
    r"|(?P<key>(?=[aAsSpPcCtTтТbBсС])(?i:api[_-]?key|apikey|secret(?:[_-]?key)?|access[_-]?(?:key|token)"
    r"|auth[_-]?token|private[_-]?key"
    r"|client[_-]?secret|token|токен[а-яё]{0,3}|bearer|секретн[а-яё]{2} ключ[а-яё]{0,3}))"
)
_KEY_BODY = re.compile(r"[A-Za-z0-9+/=:,\\ \r\n-]*")
_CUT_KEY_BODY = re.compile(r"[A-Za-z0-9+/=\\\r\n]*")
_TOKEN = re.compile(
    r"sk-[A-Za-z0-9_-]{16,}|[srp]k_live_[A-Za-z0-9]{16,}|A[KS]IA[A-Z0-9]{16}|AIza[A-Za-z0-9_-]{30,}"
    r"|gh[opsur]_[A-Za-z0-9]{30,}"
    r"|github_pat_[A-Za-z0-9_]{30,}|glpat-[A-Za-z0-9_-]{16,}|xox[abeoprs]-[A-Za-z0-9-]{10,}|xapp-[A-Za-z0-9-]{10,}"
    r"|AQVN[A-Za-z0-9_-]{20,}"
    r"|t1\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{16,}=*|y[0-3]_[A-Za-z0-9_-]{30,}|hf_[A-Za-z0-9]{20,}"
    r"|hooks\.slack\.com/services/[A-Za-z0-9/]{20,}|npm_[A-Za-z0-9]{30,}"
    r"|pypi-[A-Za-z0-9_-]{30,}"
    r"|dop_v1_[a-f0-9]{40,}|SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"
    r"|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?"
)
_BOT_NUMBER = re.compile(r"(?<![0-9])[0-9]{8,10}$")
_BOT_REST = re.compile(r":AA[A-Za-z0-9_-]{30,40}")
# To the last «@» before the path: a password may hold one itself. What is tried is bounded on both sides.
_URL_PASSWORD = re.compile(r"[^\s/:@]{0,64}:(?P<password>[^\s/]{1,128})@(?=[\w.-])")
_ASSIGNED = re.compile(
    r"[\"']?(?:[ \t]{0,4}\([^()\n]{0,24}\))?(?:[ \t](?:от|к|для|на|в"
    r"|до)(?:[ \t][а-яёА-ЯЁa-zA-Z0-9._-]{1,20}){1,3})?(?:[ \t]{0,4}(?:[:=>]|=>|:=|->|-|—)[ \t]{0,8}"
    r"|[\"'][ \t]{0,4}"
    r"|[ \t]{1,4}is[ \t]{1,4})"
    r"(?:(?:пароль|password|bearer|basic)[ \t:]{1,3})?"
    r"(?P<quote>[\"'`«])?(?P<value>(?(quote)[^\"'`»\n]{1,512}|[^\s\"'`»<>,;(){}]{1,512}))"
)
_SAID = re.compile(
    r"[ \t]{1,4}(?:от [а-яёa-z0-9 ._-]{1,24}[ :]{1,3}|такой[ :]{1,3}|у (?:меня|него|неё|нас)[ :]{1,3}"
    r"|мой[ :]{1,3}|вот[ :]{1,3}|есть[ :]{1,3}|был[ :]{1,3}"
    r"|это[ :]{1,3})?[\"'`«]?(?P<value>[^\s\"'`»<>,;]{4,128})"
)
_LATIN_WORD = re.compile(r"[a-z]{5,32}")
_PRODUCT = re.compile(
    r"(?i:wi-?fi|windows|linux|mac|admin|root|user|login|email|mail|gmail|google|yandex|telegram|whatsapp"
    r"|instagram|facebook|apple|icloud|outlook"
    r"|office|excel|word|zoom|skype|github|gitlab|jira|postgres|mysql|oracle|server|router|account|manager"
    r"|reset|hash|policy|salt)"
)
_WITH_LOGIN = re.compile(r"(?i:(?:логин[а-яё]?|login|user(?:name)?) ?(?:/|\||,|:|и|and) ?)$")
_PAIR = re.compile(r"[ :=-]{1,3}(?P<login>[A-Za-z0-9._@-]{2,40})(?: ?[/|:,;] ?| )(?P<value>[^\s\"'`»<>,;]{4,128})")
_BOTH = re.compile(r"[ :=-]{1,3}(?P<login>[A-Za-z0-9._@-]{2,40}) ?[/|:] ?(?P<value>[^\s\"'`»<>,;/]{4,64})")
_OPTION = re.compile(
    r"-u ?[\"']?[^\s:\"']{1,64}:(?P<curl>[^\s\"']{3,128})"
    r"|--user[ =][\"']?[^\s:\"']{1,64}:(?P<user>[^\s\"']{3,128})|-p[\"']?(?P<mysql>[^\s\"']{4,128})"
)
_COMMAND = re.compile(r"(?<![a-z])(?:curl|wget|mysql\w*|mariadb|sshpass|mongo\w*|http)[ ][^\n]*$")
_PIN = re.compile(
    r"(?:[ \t](?:от|для)(?:[ \t][а-яё]{2,12}){1,2})?[ \t]?[:=-]?[ \t]?(?P<value>[0-9]{4,6})(?![0-9]|[.,-][0-9])"
)
_BASIC = re.compile(r"[ \t]{1,3}(?P<value>[A-Za-z0-9+/]{8,512}={0,2})")
_COLUMN = re.compile(r"(?<![a-zа-яё])(?:password|passwd|pwd|pass|пароль|парол\w|psw)(?![a-zа-яё])")
_ATTRIBUTE = re.compile(r"[A-Za-z_]\w{0,40}(?:\.[A-Za-z_]\w{0,40}){1,5}")  # «settings.api_key»
_QUOTED = re.compile(r"[ \t]{1,2}[\"«'](?P<value>[^\"»'\n]{4,64})[\"»']")
_BEARER = re.compile(r"[ \t]{1,4}(?P<value>[A-Za-z0-9._~+/=-]{12,})")
_NOT_A_VALUE = re.compile(
    r"(?i:\[|\*+$|x{3,}$|\.{2,}|\$|%\(|\{|<|os\.|env|process\.|settings|config|self\.|request|getpass|none\b|null\b"
    r"|true$|false$|str$|string$"
    r"|your|change_?me|example|password$|пароль$|secret$|token$|не |и |нужно|должен|если|можно|минимум"
    r"|максимум|менее|длин|состо|сброс|восстан|смен|измен|забы|слож|надёж|надеж|новый|старый"
    r"|минимальн|hash|varchar|nullable|input$|field|required|optional|min_?length|char\b|text$|\d{1,2} (?:симв|char))"
)

EXAMPLES = (
    Example("ключ sk-abcdefghijklmnop1234567890 не работает", ("sk-abcdefghijklmnop1234567890",)),
    Example('OPENAI_KEY = "AKIAABCDEFGHIJKLMNOP"', ("AKIAABCDEFGHIJKLMNOP",)),
    Example("token=ghp_abcdefghijklmnopqrstuvwxyz0123456789", ("ghp_abcdefghijklmnopqrstuvwxyz0123456789",)),
    Example(
        "Authorization: Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
        ("eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",),
    ),
    Example(
        "-----BEGIN RSA PRIVATE KEY-----\nAAAABBBB\nCCCC==\n-----END RSA PRIVATE KEY-----\nпочему?",
        ("-----BEGIN RSA PRIVATE KEY-----\nAAAABBBB\nCCCC==\n-----END RSA PRIVATE KEY-----",),
    ),
    Example("-----BEGIN PRIVATE KEY-----\nAAAABBBBCCCC", ("-----BEGIN PRIVATE KEY-----\nAAAABBBBCCCC",)),
    Example("бот 123456789:AAabcdefghijklmnopqrstuvwxyz0123456", ("123456789:AAabcdefghijklmnopqrstuvwxyz0123456",)),
    Example("password: Zx7!synthetic", ("Zx7!synthetic",)),
    Example("UPDATE users SET password='qwerty12' WHERE id=1", ("qwerty12",)),
    Example("логин ivanov пароль lG74#147 помогите", ("lG74#147",)),
    Example('{"password": "пароль со словами"}', ("пароль со словами",)),
    Example("postgres://app:s3cretword@db.local:5432/app", ("s3cretword",)),
    Example("api_key: 0123456789abcdef0123456789abcdef", ("0123456789abcdef0123456789abcdef",)),
    Example("логин/пароль: ivanov / Qwerty!23", ("Qwerty!23",)),
    Example("пароль к вайфаю: kotik123", ("kotik123",)),
    Example("пароль gfhjkm не подходит", ("gfhjkm",)),
    Example("login;password\nivanov;Zima2024", ("Zima2024",)),
    Example("INSERT INTO users (login, password) VALUES ('ivanov', 'Zima2024')", ("Zima2024",)),
    Example("<password>Zima2024</password>", ("Zima2024",)),
    Example("curl -u ivanov:Zima2024 https://example.ru", ("Zima2024",)),
    Example("mysql -u root -pZima2024 shop", ("Zima2024",)),
    Example("Authorization: Basic c3ludGhldGljOnZhbHVl", ("c3ludGhldGljOnZhbHVl",)),
    Example("пин-код от карты 4512", ("4512",)),
    Example("пароль: минимум 8 символов"),
    Example('password = input("?")'),
    Example("пароль windows забыт"),
    Example("Как сбросить пароль в домене?"),
    Example("password = os.environ['PASSWORD']"),
    Example("пароль должен содержать восемь символов"),
    Example("Открой https://example.ru:8080/path и скажи, что там"),
    Example("token count: 1200"),
    Example("Маршрут sk-5 закрыт"),
    Example("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"),
)
