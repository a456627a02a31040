"""Keys, tokens and passwords: by the prefixes their makers give them, and by the words that stand before them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import msgspec

from policies.entities import Entity
from policies.finding import Finding
from policies.recognizers import username
from policies.recognizers.credentials_examples import EXAMPLES
from policies.recognizers.identifier import LABELLED, LIKELY, UNMISTAKABLE
from policies.recognizers.tables import Headings

__all__ = ["EXAMPLES", "find", "find_cells"]


def find(text: str, start: int, end: int) -> Iterator[Finding]:
    """Secrets that begin between `start` and `end` of the *original* text; a private key may well reach beyond."""
    limit = min(len(text), end + _LOOK_AHEAD)
    lower = text[start:limit].lower()
    for rule in _RULES:
        if not any(word in lower for word in rule.words):
            continue
        for anchor in rule.anchor.finditer(text, start, limit):
            if anchor.start() < end:
                yield from rule.read(text, anchor)


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
    key = _URL_KEY.match(text, anchor.end())
    if key:
        yield Finding(*key.span("key"), Entity.SECRET, LABELLED)
        return
    match = _URL_PASSWORD.match(text, anchor.end())
    if match and not _NOT_A_VALUE.match(match["password"]):
        kind = Entity.SECRET if _FOR_TOKEN.match(text, anchor.end()) else Entity.PASSWORD
        yield Finding(*match.span("password"), kind, LABELLED)


def _password(text: str, anchor: re.Match[str]) -> Iterator[Finding]:
    if _WITH_LOGIN.search(text, max(0, anchor.start() - 24), anchor.start()):
        pair = _PAIR.match(text, anchor.end())
        # «login, password from users» is a query.
        if pair and (_STATED.match(text, anchor.end()) or _is_made_up(pair["value"])):
            yield from _both(pair)
            while following := _NEXT_PAIR.match(text, pair.end()):
                yield from _both(following)
                pair = following
            return
    match = _ASSIGNED.match(text, anchor.end())
    if match and _is_value(match["value"]) and not _is_code(text, match):
        yield Finding(*match.span("value"), Entity.PASSWORD, UNMISTAKABLE)
        return
    for pair in _QUOTED_PAIR.finditer(text, anchor.end(), anchor.end() + _REACH_OF_PAIRS):
        if _is_strong(pair["value"]):
            yield from _both(pair)
    match = _QUOTED.match(text, anchor.end())
    if match and (not anchor[0].isascii() or _SQL.match(anchor[0])) and _is_value(match["value"]):
        yield Finding(*match.span("value"), Entity.PASSWORD, LIKELY)
        return
    yield from _said(text, anchor)
    strong = _STRONG.search(text, anchor.end(), anchor.end() + _REACH)
    if (
        strong
        and not _LOST.match(text, anchor.end())
        and "\n" not in text[anchor.end() : strong.start()]
        and "://" not in strong[0]
    ):
        yield Finding(*strong.span("value"), Entity.PASSWORD, LIKELY)


def _said(text: str, anchor: re.Match[str]) -> Iterator[Finding]:
    """«пароль Qwerty12», «пароль от вайфая Qwerty12»: without a sign between, only a word that no sentence would hold."""
    place, reach = anchor.end(), 0  # how many more words may tell what the password is for
    for _ in range(_MOST_WORDS):
        word = _NEXT_WORD.match(text, place)
        if word is None:
            return
        value = word["value"]
        if _is_password(text, anchor[0], word, named=reach == _WORDS_FOR):
            yield Finding(*word.span("value"), Entity.PASSWORD, LIKELY)
            return
        if _FOR.fullmatch(value):
            reach = _WORDS_FOR
        elif reach:
            reach -= 1
        elif not _FILLER.fullmatch(value):
            return
        place = word.end()


def _is_password(text: str, label: str, word: re.Match[str], *, named: bool) -> bool:
    """`named`: the word follows a preposition, and is rather what the password is for."""
    value = word["value"]
    if len(value) < _SHORTEST:
        return False
    return (
        _is_made_up(value)
        or (not named and _is_foreign_word(label, value))
        or (not label.isascii() and bool(_DIGITS_ONLY.match(text, word.start("value"))))
        or bool(_SECRET_WORD.match(label) and _CAPITALISED.fullmatch(value))
    )


# «пароль, который помню, Barsik2016!»: small letters, capitals and digits in one word, whatever stands before it.
_STRONG = re.compile(
    r"(?<![^\s«\"'(])(?=[^\s]{0,40}[a-z])(?=[^\s]{0,40}[A-Z])(?=[^\s]{0,40}[0-9])(?P<value>[^\s,;«»\"'()=/\\]{7,40})(?<![.:])"
)
_LOST = re.compile(
    r" (?:забы|сброс|сбил|ист[её]к|неверн|неправильн|смен|измен|требова|политик|нужно|должен)", re.IGNORECASE
)
_REACH = 50
_MOST_WORDS = 6
_WORDS_FOR = 3
_SHORTEST = 4  # characters of a password


def _both(pair: re.Match[str]) -> Iterator[Finding]:
    if not username.is_service(pair["login"].lower()):
        yield Finding(*pair.span("login"), Entity.USERNAME, UNMISTAKABLE)
    yield Finding(*pair.span("value"), Entity.PASSWORD, UNMISTAKABLE)


def _is_code(text: str, match: re.Match[str]) -> bool:
    """Whether what is assigned is a call, «request.body.password», or two numbers of a passport in a URL."""
    value = match["value"]
    return (
        text[match.end("value") : match.end("value") + 1] == "("
        or bool(_FROM_CODE.match(value))
        or bool(_SERIES_AND_NUMBER.match(value))
    )


def _is_foreign_word(label: str, value: str) -> bool:
    """«пароль gfhjkm»: a word in Latin letters after one in Russian, that is not what the password is for."""
    return not label.isascii() and bool(_LATIN_WORD.fullmatch(value)) and not _PRODUCT.match(value)


def _option(text: str, anchor: re.Match[str]) -> Iterator[Finding]:
    """What commands take a password by: `curl -u name:password`, `mysql -ppassword`, `sshpass -p password`."""
    command = _COMMAND.search(text, max(0, anchor.start() - 120), anchor.start())
    if command is None:
        return
    match = (_OPTION_APART if command["apart"] else _OPTION).match(text, anchor.start())
    if match and not _NOT_A_VALUE.match(match["value"]):
        yield Finding(*match.span("value"), Entity.PASSWORD, UNMISTAKABLE)
        login = match.groupdict().get("login")
        if login and "@" not in login and not username.is_service(login.lower()):
            yield Finding(*match.span("login"), Entity.USERNAME, UNMISTAKABLE)


def _account(text: str, anchor: re.Match[str]) -> Iterator[Finding]:
    """«учётка ivanov / Qwerty12», «зайди под ivanov / Qwerty12»: both after one word."""
    pair = _BOTH.match(text, anchor.end())
    if pair and _is_made_up(pair["value"]):
        yield from _both(pair)


def _drive(text: str, anchor: re.Match[str]) -> Iterator[Finding]:
    r"""`net use z: \\server\share password /user:name`"""
    match = _NET_USE.match(text, anchor.end())
    if match and match["value"] != "*":
        yield Finding(*match.span("value"), Entity.PASSWORD, UNMISTAKABLE)


def _hashed(text: str, anchor: re.Match[str]) -> Iterator[Finding]:
    """A line of `htpasswd` or `/etc/shadow`: a hash is what passwords are guessed from."""
    match = _HASH.match(text, anchor.start())
    if match:
        yield Finding(*match.span(), Entity.PASSWORD, UNMISTAKABLE)
        owner = _HASH_OWNER.search(text, max(0, anchor.start() - 48), anchor.start())
        if owner and not username.is_service(owner["login"].lower()):
            yield Finding(*owner.span("login"), Entity.USERNAME, UNMISTAKABLE)


def _pin(text: str, anchor: re.Match[str]) -> Iterator[Finding]:
    match = _PIN.match(text, anchor.end())
    if match:
        yield Finding(*match.span("value"), Entity.PASSWORD, LABELLED)


def _card_code(text: str, anchor: re.Match[str]) -> Iterator[Finding]:
    """The three digits on a card's back: with its number they are the key to it."""
    match = _CARD_CODE.match(text, anchor.end())
    if match:
        yield Finding(*match.span("value"), Entity.PASSWORD, UNMISTAKABLE)


def _beside_expiry(text: str, anchor: re.Match[str]) -> Iterator[Finding]:
    """Three digits after the number of a card and its month and year. The month and year themselves open nothing without them."""
    if _CARD_BEFORE.search(text, max(0, anchor.start() - 64), anchor.start()):
        code = _CODE_AFTER.match(text, anchor.end())
        if code:
            yield Finding(*code.span("value"), Entity.PASSWORD, UNMISTAKABLE)


def _answer(text: str, anchor: re.Match[str]) -> Iterator[Finding]:
    """«секретный вопрос: …, ответ: …»"""
    match = _ANSWER.match(text, anchor.end())
    if match:
        yield Finding(*match.span("value"), Entity.PASSWORD, LABELLED)


def _seed(text: str, anchor: re.Match[str]) -> Iterator[Finding]:
    """The words that open a wallet (BIP-39): 12 to 24 English words, none of them a mere connective."""
    match = _SEED.match(text, anchor.end())
    if match:
        words = _SEED_WORD.findall(match["words"])
        if len(words) in _SEED_LENGTHS and not _CONNECTIVES.intersection(words):
            yield Finding(*match.span("words"), Entity.SECRET, LABELLED)


def _cookie(text: str, anchor: re.Match[str]) -> Iterator[Finding]:
    match = _COOKIE.match(text, anchor.end())
    if match and not _UUID.fullmatch(match["value"]) and _is_random(match["value"]):
        yield Finding(*match.span("value"), Entity.SECRET, UNMISTAKABLE)


def _basic(text: str, anchor: re.Match[str]) -> Iterator[Finding]:
    match = _BASIC.match(text, anchor.end())
    if match:
        yield Finding(*match.span("value"), Entity.SECRET, UNMISTAKABLE)


def _key(text: str, anchor: re.Match[str]) -> Iterator[Finding]:
    match = _ASSIGNED.match(text, anchor.end()) or _BEARER.match(text, anchor.end())
    if match and _is_code(text, match):
        return
    if (
        match
        and len(match["value"]) >= 12
        and " " not in match["value"]
        and not _ATTRIBUTE.fullmatch(match["value"])
        and _is_made_up(match["value"])
    ):
        yield Finding(*match.span("value"), Entity.SECRET, LABELLED)
        return
    match = _OF_SOMETHING.match(text, anchor.end())
    if match and _is_random(match["value"]):
        yield Finding(*match.span("value"), Entity.SECRET, LABELLED)


def _environment(text: str, anchor: re.Match[str]) -> Iterator[Finding]:
    """«S3_KEY=…» of a file of settings, `"Key": "…"` of a part of it: only what nobody would write by hand."""
    match = _LONG_VALUE.match(text, anchor.end())
    if match is None or _CALL_OR_FILE.match(text, match.end()):
        return
    if _is_random(match["value"]) and _UPPER.search(match["value"]) and _LOWER.search(match["value"]):
        yield Finding(*match.span("value"), Entity.SECRET, UNMISTAKABLE)


def _is_random(value: str) -> bool:
    """Whether letters and digits are mixed as nobody would write them: a word with a year after it is not."""
    return len(_DIGIT_RUN.findall(value)) > 2 and any(character.isalpha() for character in value)


def _is_strong(value: str) -> bool:
    """Whether it has digits among letters or signs, in no order that a version or a path would have."""
    return len(value) >= 6 and _is_made_up(value) and bool(_DIGIT_RUN.search(value)) and "." not in value


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


_LOOK_AHEAD = 160  # characters: more than any anchor with what it looks ahead for
_LONGEST_KEY = 16_384
_KEY_FOOTER = "-----END "


class _Rule(msgspec.Struct, frozen=True):
    """Where a text without any of the `words`, in lower case, has no `anchor`: most texts are not searched at all."""

    words: tuple[str, ...]
    anchor: re.Pattern[str]
    read: Callable[[str, re.Match[str]], Iterator[Finding]]


# What the makers of tokens begin them with.
_PREFIXES = (
    "sk-", "sk_live_", "rk_live_", "pk_live_", "wk_live_", "sk_test_", "rk_test_", "pk_test_", "AKIA", "ASIA", "AIza", "gho_",
    "ghp_", "ghs_", "ghu_", "ghr_", "github_pat_", "glpat-", "glrt-", "gldt-", "xoxa-", "xoxb-", "xoxe-", "xoxo-", "xoxp-", "xoxr-",
    "xoxs-", "xapp-", "AQVN", "t1.", "y0_", "y1_", "y2_", "y3_", "hf_", "hooks.slack.com/services/", "npm_", "pypi-", "dop_v1_",
    "SG.", "eyJ", "ya29.", "1//0", "vk1.a.", "whsec_", "AGE-SECRET-KEY-1", "discord.com/api/webhooks/",
    "discordapp.com/api/webhooks/", "GOCSPX-", "hvs.", "dckr_pat_", "shpat_", "glsa_", "gsk_", "xai-", "nvapi-", "xkeysib-",
    "sntrys_", "sntryu_", "ATATT", "lin_api_", "tskey-", "EAAC", "LTAI",
)  # fmt: skip
_RULES = (
    _Rule(
        ("-----begin",),
        re.compile(r"-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----"),
        _private_key,
    ),
    _Rule(
        tuple(prefix.lower() for prefix in _PREFIXES),
        re.compile(rf"(?<![A-Za-z0-9_-])(?:{'|'.join(map(re.escape, _PREFIXES))})"),
        _token,
    ),
    _Rule((":aa",), re.compile(":AA"), _bot),
    _Rule(("://",), re.compile(r"://(?<=[a-z0-9+]://)(?=[^\s/:@]{0,64}:|[0-9a-f]{32}@)"), _url),
    _Rule(
        ("pass", "pwd", "psw", "psk", "парол", "пасс", "identified by", "кодов", "секретн"),
        re.compile(
            r"(?=[pPпПкКсСiI])(?i:passwords?|passwd|pwd|passphrase|passcode|psw[rd]?|парол[а-яё]{0,4}|пасс(?=[ =:\"'])"
            r"|(?<![A-Za-z])pass(?=[ =:\"'>])|(?<![A-Za-z])psk(?=[ =:\"'])|identified by(?= [\"'])"
            r"|(?:кодов|секретн)[а-яё]{2,3} (?:слов[а-яё]{1,2}|фраз[а-яё]))"
        ),
        _password,
    ),
    _Rule(
        ("пин", "pin", "смс", "sms", "код", "otp"),
        re.compile(
            r"(?i:(?<![а-яёa-z])(?:пин(?:[- ]?код[а-яё]{0,2})?|pin(?:[- ]?code)?|(?:смс|sms)[- ]?(?:код|code)"
            r"|код[а-яё]{0,2}(?= (?:(?:из|по) (?:смс|sms|сообщ|пуш|push|письм|приложени|аутентиф)|подтвержд|авторизац|проверк))"
            r"|otp(?:[- ]?code)?)(?=[ =:]))"
        ),
        _pin,
    ),
    _Rule(("cvv", "cvc", "csc"), re.compile(r"(?i:(?<![A-Za-z])(?:cv[vc]2?|csc)(?![A-Za-z0-9]))"), _card_code),
    _Rule(("/2", "/3", "/4"), re.compile(r"(?:0[1-9]|1[0-2])/(?:20)?[2-4][0-9](?![0-9/.])"), _beside_expiry),
    _Rule(
        ("вопрос", "question"),
        re.compile("(?i:(?:секретн|контрольн)[а-яё]{2,3} вопрос[а-яё]{0,2}|security question)"),
        _answer,
    ),
    _Rule(
        ("seed", "сид", "mnemonic", "мнемони", "recovery phrase"),
        re.compile("(?i:seed(?=[ :_=-])|сид(?=[ :-])|mnemonic|мнемони[а-яё]{1,8}|recovery phrase)"),
        _seed,
    ),
    _Rule(("net use",), re.compile("net use "), _drive),
    _Rule(("$",), re.compile(r"\$(?=(?:apr1|2[abxy]?|[156y]|argon2i?d?)\$)"), _hashed),
    _Rule(
        ("sess", "sid", "csrf", "remember"),
        re.compile(
            r"(?i:(?<![a-z])(?:session(?:[_-]?id2?)?|sess(?:id)?|sid|phpsessid|jsessionid|remixsid"
            r"|csrf[_-]?token|remember[_-]token|connect\.sid))(?=[=:\"' ])"
        ),
        _cookie,
    ),
    _Rule(("-u", "-p"), re.compile(r"(?<=\s)-(?:u|p(?=[ =]?\S{4})|-user(?=[ =]))"), _option),
    _Rule(
        ("учетк", "учётк", "логин", "доступ", "под", "вход"),
        re.compile("(?i:уч[её]тк[аиу]|логин|доступы?|для входа|(?:за|во)[йи][дт]?[а-яё]{1,4} под)(?=[ :])"),
        _account,
    ),
    _Rule(("basic",), re.compile(r"(?i:authorization[\"']?\s?[:=]\s?[\"']?basic)"), _basic),
    _Rule(
        ("key", "token", "токен", "secret", "bearer", "ключ", "credential"),
        re.compile(
            r"(?i:api[_ -]?key|apikey|secret(?:[_-]?key)?|access[_-]?(?:key|token)"
            r"|(?:auth|api|refresh|bot|id)[_-]?token|private[_-]?key(?:[_-]id)?|(?:account|shared|encryption|signing|license)[_-]?key"
            r"|(?<=_)credentials?(?=[=:\"'])|client[_-]?secret|token|токен[а-яё]{0,3}|bearer|секретн[а-яё]{2} ключ[а-яё]{0,3}"
            r"|(?<![а-яё])ключ[а-яё]{0,2} (?:апи|api|доступа)|(?<=апи[ -])ключ[а-яё]{0,2}|(?<=api[ -])ключ[а-яё]{0,2})"
        ),
        _key,
    ),
    _Rule(
        ("key",),
        # Public keys are for everybody, and the others name what is looked up by them.
        re.compile(
            r"(?:(?<!(?i:public))(?<!(?i:cache))(?<!(?i:object))(?<!(?i:site))(?<!(?i:sort))(?<!(?i:idempotency))(?:_KEY|_key|(?<=[a-z])Key)"
            r"|(?<=[\"'])(?:[Kk]ey|KEY))[\"']?[ ]?[=:]"
        ),
        _environment,
    ),
)

_KEY_BODY = re.compile(r"[A-Za-z0-9+/=:,\\ \r\n-]*")
_CUT_KEY_BODY = re.compile(r"[A-Za-z0-9+/=\\\r\n]*")
_TOKEN = re.compile(
    r"sk-[A-Za-z0-9_-]{16,}|[srpw]k_(?:live|test)_[A-Za-z0-9]{16,}|A[KS]IA[A-Z0-9]{16}|AIza[A-Za-z0-9_-]{30,}"
    r"|gh[opsur]_[A-Za-z0-9]{30,}"
    r"|github_pat_[A-Za-z0-9_]{30,}|glpat-[A-Za-z0-9_-]{16,}|xox[abeoprs]-[A-Za-z0-9-]{10,}|xapp-[A-Za-z0-9-]{10,}"
    r"|AQVN[A-Za-z0-9_-]{20,}"
    r"|t1\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{16,}=*|y[0-3]_[A-Za-z0-9_-]{30,}|hf_[A-Za-z0-9]{20,}"
    r"|hooks\.slack\.com/services/[A-Za-z0-9/]{20,}|npm_[A-Za-z0-9]{30,}"
    r"|pypi-[A-Za-z0-9_-]{30,}|ya29\.[A-Za-z0-9_-]{16,}|1//0[A-Za-z0-9_-]{16,}|vk1\.a\.[A-Za-z0-9_-]{24,}|whsec_[A-Za-z0-9+/=]{20,}"
    r"|AGE-SECRET-KEY-1[A-Z0-9]{40,64}|discord(?:app)?\.com/api/webhooks/[0-9]{6,24}/[A-Za-z0-9_-]{16,}"
    r"|(?:GOCSPX-|hvs\.|dckr_pat_|shpat_|glsa_|gsk_|xai-|nvapi-|xkeysib-|sntry[su]_|ATATT|lin_api_|tskey-|EAAC|LTAI|gl[rd]t-)"
    r"[A-Za-z0-9_=-]{16,}"
    r"|dop_v1_[a-f0-9]{40,}|SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"
    r"|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?"
)
_BOT_NUMBER = re.compile(r"(?<![0-9])[0-9]{8,10}$")
_BOT_REST = re.compile(r":AA[A-Za-z0-9_-]{30,40}")
_FOR_TOKEN = re.compile("(?:oauth2?|x-access-token|x-token-auth|gitlab-ci-token|token|__token__):")
# To the last «@» before the path: a password may hold one itself. What is tried is bounded on both sides.
_URL_PASSWORD = re.compile(r"[^\s/:@]{0,64}:(?P<password>[^\s/]{1,128})@(?=[\w.-])")
_URL_KEY = re.compile(r"(?P<key>[0-9a-f]{32})(?::[0-9a-f]{32})?@")  # of a Sentry DSN
# What may stand between the word and the password: which one it is, how sure the writer is.
_FILLERS = (
    r"одноразов[а-яё]{1,3}|временн[а-яё]{1,3}"
    r"|нов[а-яё]{1,3}|стар[а-яё]{1,3}|текущ[а-яё]{1,3}|прежн[а-яё]{1,3}|гостев[а-яё]{1,3}|общ[а-яё]{1,3}|стандартн[а-яё]{1,3}"
    r"|вроде|бы|кажется|теперь|сейчас|пусть|будет|был|стоит|поставил[аи]?|сделал[аи]?|сменил[аи]?|установил[аи]?"
    r"|придумал[аи]?|такой|же|мой|наш|свой|его|е[её]|их|вот|это|есть|там|тут|по|умолчанию"
    r"|админ[а-яё]{0,14}|пользователя|юзера|рута|роутера|вай-?фа[ея]|сети|почты|сервера|базы|сайта"
)
_FILLER = re.compile(_FILLERS)
_FOR = re.compile("от|к|для|на|в|до|под|из|у")
_NEXT_WORD = re.compile(r"[ \t:]{1,4}[\"'`«]?(?P<value>[^\s\"'`»<>,;:]{1,128})")
_BETWEEN = (
    r"(?:[ \t]{1,3}(?:(?:от|к|для|на|в|до|под|из|у)(?:[ \t][а-яёА-ЯЁa-zA-Z0-9._-]{1,20}){1,3}?|(?:for|to|of)(?:[ \t]the)?[ \t][\w-]{1,20}|"
    + _FILLERS
    + r")){0,3}?"
)
_ASSIGNED = re.compile(
    r"[\"']?(?:[ \t]{0,4}\([^()\n]{0,24}\))?" + _BETWEEN + r"(?:[ \t]{0,4}(?:[:=>]|=>|:=|->|-|—|–)[ \t]{0,8}"
    r"|[\"'][ \t]{0,4}"
    r"|[ \t]{1,4}is[ \t]{1,4})"
    r"(?:(?:пароль|password|bearer|basic)[ \t:]{1,3}|[а-яё]{4,16}:[ \t]{1,3})?"
    r"(?P<quote>[\"'`«])?(?P<value>(?(quote)[^\"'`»\n]{1,512}|(?:[^\s\"'`»<>,;(){}]|(?<=[\w!@#$%^&*+?~.-])[\"'`](?=\w)){1,512}))"
)
_DIGITS_ONLY = re.compile(
    r"[0-9]{4,16}(?=[.,;!?)]?(?:\s|$))(?!\s(?:год|символ|знак|раз|цифр|букв|дн|мин|час|сек|пользоват))"
)
_SECRET_WORD = re.compile("(?i:кодов)")
_CAPITALISED = re.compile(r"[А-ЯЁ][а-яё]{3,24}[.!]?")
_SQL = re.compile("(?i:identified|password)")
_FROM_CODE = re.compile(
    r"(?:[\])]|\$?_?(?:req|args?|opts?|options|ctx|cfg|conf|params?|form|body|user|props|this|state|event|input|credentials|creds|creds?|app"
    r"|settings|config|data|env|secrets|vars|var|local|module|f|r|self|cls|kwargs)(?:\.|\[|->)|\$\(|\$_|!vault|\{\{)"
)
_SERIES_AND_NUMBER = re.compile(r"[0-9]{4}[+ ][0-9]{6}(?![0-9])")
_LATIN_WORD = re.compile(r"[a-z]{5,32}")
_PRODUCT = re.compile(
    r"(?i:wi-?fi|windows|linux|mac|admin|root|user|login|email|mail|gmail|google|yandex|telegram|whatsapp"
    r"|instagram|facebook|apple|icloud|outlook"
    r"|office|excel|word|zoom|skype|github|gitlab|jira|postgres|mysql|oracle|server|router|account|manager"
    r"|reset|hash|policy|salt)"
)
_WITH_LOGIN = re.compile(r"(?i:(?:логин[а-яё]?|login|user(?:name)?) ?(?:/|\||,|:|и|с|and) ?)$")
_PAIR = re.compile(
    r"[ \t]{0,2}(?:[:=-]{0,3}[ \n]{1,2}|[:=-]{1,3})(?P<login>[A-Za-z0-9._@-]{2,40})(?: ?[/|:,;] ?| и | )(?P<value>[^\s\"'`»<>,;]{4,128})"
)
_STATED = re.compile(r"[ \t]{0,2}(?:[:=-]|\r?\n)")
_NEXT_PAIR = re.compile(
    r"[ \t]?\r?\n(?P<login>[A-Za-z0-9._@-]{2,40}) ?[/|:;] ?(?P<value>[^\s\"'`»<>,;]{4,128})(?=\s|$)"
)
_BOTH = re.compile(r"[ :=-]{1,3}(?P<login>[A-Za-z0-9._@-]{2,40}) ?[/|:] ?(?P<value>[^\s\"'`»<>,;/]{4,64})")
_OPTION = re.compile(
    r"(?:(?:-u ?|--user[ =])[\"']?(?P<login>[^\s:\"']{1,64}):|-p[\"']?(?=[^\s-]))(?P<value>(?<=:)[^\s\"']{3,128}|[^\s\"']{4,128})"
)
_OPTION_APART = re.compile(r"-p[ =]?[\"']?(?P<value>[^\s\"'-][^\s\"']{3,127})")
_COMMAND = re.compile(
    r"(?<![a-z])(?:(?P<apart>sshpass|docker login|podman login)|curl|wget|mysql\w*|mariadb|mongo\w*|http)[ ][^\n]*$"
)
_NET_USE = re.compile(r"[^\n/]{0,20}\\\\\S{1,80} (?P<value>[^\s/][^\s]{2,63}) /(?i:user)")
_HASH = re.compile(r"\$(?:apr1|2[abxy]?|[156y]|argon2i?d?)\$[A-Za-z0-9./$+=,]{16,160}")
_HASH_OWNER = re.compile(r"(?<![^\s\"'])(?P<login>[A-Za-z0-9._@-]{2,40}):$")
_PIN = re.compile(
    r"(?:[ \t](?:от|для|из|по|с)(?:[ \t][а-яёА-ЯЁA-Za-z]{2,16}){1,2}|[ \t][а-яё]{4,14}){0,2}[ \t]?[:=—-]?[ \t]?"
    r"(?P<value>[0-9]{4,8})(?![0-9A-Za-zа-яё]|[.,-][0-9])"
)
_CARD_CODE = re.compile(
    r"(?:[ -]?(?:код|code))?[ \t\"']{0,2}[:=—-]?[ \t\"']{0,2}(?P<value>[0-9]{3,4})(?![0-9A-Za-z]|[.,][0-9])"
)
_CARD_BEFORE = re.compile(r"[0-9]{4}([ -]?)[0-9]{4}\1[0-9]{4}\1[0-9]{4}(?:[^0-9]|\n){1,40}$")
_CODE_AFTER = re.compile(r"[ ,;/|]{1,3}(?P<value>[0-9]{3})(?![0-9A-Za-zа-яё]|[ .,-][0-9])")
_ANSWER = re.compile(
    r"[^\n]{0,80}?(?:\n[^\n]{0,12}?)?(?i:ответ|answer)[а-яё]{0,2}[ \t]{0,2}[:=—-]{0,2}[ \t]{0,2}[\"'«]?"
    r"(?P<value>[A-Za-zА-ЯЁа-яё0-9][\wА-Яа-яЁё-]{2,30}(?: [\wА-Яа-яЁё-]{2,30}){0,2})(?=[\"'»,.;!\n]|$)"
)
_SEED = re.compile(
    r"(?i:[ _-]{0,2}(?:phrase|фраз[а-яё]{1,2}|words|слова))?[^\n:=—]{0,30}[:=—]?[ \t\n\"'«]{0,3}"
    r"(?P<words>(?:(?:[0-9]{1,2}[.)] ?)?[a-z]{3,8}(?:, ?|[ \n]{1,2})){11,24}(?:[0-9]{1,2}[.)] ?)?[a-z]{3,8})(?![a-z])"
)
_SEED_WORD = re.compile("[a-z]+")
_SEED_LENGTHS = frozenset({12, 15, 18, 21, 24})
_CONNECTIVES = frozenset(
    {
        "the",
        "and",
        "for",
        "with",
        "from",
        "was",
        "are",
        "has",
        "have",
        "not",
        "but",
        "which",
        "their",
        "can",
        "its",
        "been",
        "were",
    }
)
# «есть вот: «svc_backup / Zima2024», «avdonin.k / Leto2025»» somewhere after the word
_QUOTED_PAIR = re.compile(
    r"[«\"“](?P<login>[A-Za-z][A-Za-z0-9._@-]{2,40})(?: ?[/|] ?|: | - )(?P<value>[^\s\"'`«»<>,;/]{6,64})[»\"”]"
)
_REACH_OF_PAIRS = 160  # characters
# «Токен коннектора: …»
_OF_SOMETHING = re.compile(
    r"(?:[ \t][а-яёА-ЯЁA-Za-z0-9-]{2,20}){1,2} ?[:=—–-]{1,2}[ \t]{0,4}[\"'`«]?(?P<value>[A-Za-z0-9._~+/=-]{20,512})"
)
_COOKIE = re.compile(r"[\"']?[=:][ \"']{0,2}(?P<value>[A-Za-z0-9_.%~+/-]{16,512})")
_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_LONG_VALUE = re.compile(r"[ \"']{0,2}(?P<value>[A-Za-z0-9+/_=-]{20,512})")
_CALL_OR_FILE = re.compile(r"\(|\.[A-Za-z]")
_UPPER, _LOWER = re.compile("[A-Z]"), re.compile("[a-z]")
_DIGIT_RUN = re.compile("[0-9]+")
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
