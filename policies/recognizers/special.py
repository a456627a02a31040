"""What a text tells about a person's health, beliefs, convictions or intimate life (152-ФЗ ст. 10 and 11).

A word alone is no personal data: «что такое диабет» speaks of nobody. A finding needs a subject, and is the word that
gives it away: the policy rules on the whole text, so the span is evidence and not the extent of what was told.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterator, Sequence

from policies.entities import Entity
from policies.finding import Finding
from policies.recognizers.identifier import LIKELY, UNMISTAKABLE, Example

_REACH = 160  # characters between a word and the person it is told of


def find(lower: str, persons: Sequence[Finding]) -> Iterator[Finding]:
    """Words of a special category that are said of somebody; `persons` are the names found in the same text."""
    subjects: list[int] | None = None
    for word in _LEXICON.finditer(lower):
        if subjects is None:
            subjects = [match.start() for match in _SUBJECT.finditer(lower)]
        named = any(-_REACH <= person.start - word.start() <= _REACH for person in persons)
        near = subjects[
            bisect.bisect_left(subjects, word.start() - _REACH) : bisect.bisect(subjects, word.start() + _REACH)
        ]
        if named or any(_tells(lower, subject, word.start()) for subject in near):
            yield Finding(*word.span(), Entity(word.lastgroup or ""), UNMISTAKABLE if named else LIKELY)


def _tells(lower: str, subject: int, word: int) -> bool:
    """Whether a subject and a word stand in one sentence."""
    return not _SENTENCE_END.search(lower, min(subject, word), max(subject, word))


_SENTENCE_END = re.compile(r"[.!?\n](?=\s|$)")

# Somebody in particular: the speaker, his kin, or a person in a role that papers are written about.
_SUBJECT = re.compile(
    r"(?<![а-яё])(?:(?:у (?:него|не[её]|них)|мне|меня|мой|моя|моей|моего|моему|моим|мою|я|нам|наш\w{0,3}|ваш\w{0,3}|ему|ей|он"
    r"|она) "
    r"|(?:мам|пап|отц|отец|мать|матер|дочк|дочер|доч|сын|муж|жен|брат|сестр|бабушк|дедушк|тёщ|тещ|свекров|реб[её]нк"
    r"|племянни)\w{0,4}(?![а-яё])"
    r"|пациент(?:а|у|ом|е|к[аиеу]|кой)?(?![а-яё])|больн(?:ой|ого|ая|ую)(?![а-яё])|подсудим\w{2,3}|обвиняем\w{2,3}"
    r"|осужд[её]нн\w{2,3}"
    r"|сотрудни(?:к|ка|ку|ком|це|ца|цу|цы)(?![а-яё])|работни(?:к|ка|ку|ца|це|цы)(?![а-яё])|клиент(?:а|у|ка|ки"
    r"|ке)?(?![а-яё])|коллег[аиу](?![а-яё])"
    r"|кандидат(?:а|у|ка|ки|ке)?(?![а-яё])|ученик[ау]?(?![а-яё])|студент(?:а|у|ка|ки|ке)?(?![а-яё])"
    r"|сосед\w{0,3}(?![а-яё])|начальни\w{1,3}(?![а-яё]))"
)

_HEALTH = (
    r"диагноз\w*|диабет\w*|онколог\w*|рак(?:а|ом)? (?:груди|лёгк\w*|легк\w*|желудк\w*|кожи|крови|молочн\w*)|опухол\w*"
    r"|гипертони\w*|инсульт\w*|инфаркт\w*|стенокарди\w*"
    r"|ишеми\w*|астм[аыеу]\w{0,2}|эпилепс\w*|шизофрен\w*|депресси\w*|вич(?:-инф\w*|-положит\w*)?(?![а-яё])|спид(?:а"
    r"|ом)?(?![а-яё])|гепатит\w*|туберкул[её]з\w*|сифилис\w*|аллерги\w*"
    r"|беременн\w*|инвалид\w*|группа инвалидности|перелом\w*|операци[яюи] на|химиотерапи\w*|диализ\w*|анамнез\w*"
    r"|история болезни|истории болезни|госпитализир\w*|выписк[аиу] из истории"
    r"|больничн\w* лист\w*|на больничном|лечащ\w{2,3} врач\w*|жалоб[ыа] на (?:бол|каш|голов|тошн|слабост|одышк)\w*"
    r"|психиатр\w*|психоз\w*|наркозависим\w*|алкоголизм\w*|мигрен\w*|аритми\w*|пневмони\w*|covid\w*|ковид\w*"
    r"|антидепрессант\w*|инсулин\w*|аутизм\w*|аутист\w*|бесплоди\w*|аборт\w*|сахар [0-9]{1,2}[.,][0-9]|мкб-?10"
)
_CRIMINAL = (
    r"судимост\w*|судим(?:ый|ого|ая|а)?(?![а-яё])|осужд[её]н\w*|подсудим\w*|отбыва\w{1,4} наказани\w*"
    r"|вину признал\w{0,2}|условный срок|обвиняется по ст\w*|привлекал\w{1,3} к уголовной|приговор[её]н\w{0,2}"
)
_RELIGION = (
    r"исповеду\w*|ислам\w*|мусульман\w*|православн\w*|христиан(?:ин\w*|ка|ку|ки)|католи[кч]\w{0,4}|буддис\w*"
    r"|иуде[йяюе]\w{0,2}|иудаизм\w*|намаз\w*|протестант\w*|атеист\w*|свидетел\w* иеговы|крещ[её]н\w{0,3}"
    r"|вероисповедани\w*"
)
_NATIONALITY = (
    r"по национальности|национальност\w*|этническ\w{2,3} происхожд\w*|расов\w{2,3} принадлежн\w*|цыган(?:ка|ку|ки|а"
    r"|у)?(?![а-яё])"
)
_POLITICS = (
    r"состо[ия]т\w{0,3} в (?:\w+ )?партии|член(?:а|у|ом)? (?:\w+ )?партии|политическ\w{2,3} (?:парти|взгляд"
    r"|убежден)\w*|ходит на митинг\w*|участ\w+ в митинг\w*|оппозицион\w*|профсоюз\w*|голосовал\w{0,2} за"
)
_INTIMATE = (
    r"гомосексуал\w*|бисексуал\w*|лесбиян\w*|гей(?:я|ем|ю)?(?![а-яё])|сексуальн\w{2,3} (?:ориентаци|жизн"
    r"|партн[её]р)\w*|половая жизнь|интимн\w{2,3} (?:жизн|связ|отношен)\w*|измен(?:яет|ял|яла|ил|ила) (?:мужу|жене)"
    r"|любовниц\w{1,3}"
)
_BIOMETRIC = (
    r"отпечат\w{1,4} пальц\w*|биометри\w*|рисун\w{1,4} вен|радужн\w{2,3} оболоч\w*|слепо?к\w{0,2} голоса"
    r"|образ\w{1,3} голоса|дактилоскоп\w*|геноти\w*|днк-(?:тест|анализ)\w*|днк(?:-профил\w*)"
)

_LEXICON = re.compile(
    r"(?<![а-яёa-z])(?:"
    rf"(?P<HEALTH>{_HEALTH})|(?P<CRIMINAL_RECORD>{_CRIMINAL})|(?P<RELIGION>{_RELIGION})|(?P<NATIONALITY>{_NATIONALITY})"
    rf"|(?P<POLITICS>{_POLITICS})|(?P<INTIMATE_LIFE>{_INTIMATE})|(?P<BIOMETRIC>{_BIOMETRIC})"
    r")"
)

EXAMPLES = (
    Example("у меня диабет, что можно есть?", ("диабет",)),
    Example("Пациент поступил утром, диагноз: пневмония", ("диагноз", "пневмония")),
    Example("у него астма с детства", ("астма",)),
    Example("У мамы нашли опухоль", ("опухоль",)),
    Example("Иванов Пётр Ильич ранее судимый", ("судимый",)),
    Example("Сотрудник исповедует ислам", ("исповедует", "ислам")),
    Example("Она по национальности татарка", ("по национальности",)),
    Example("Мой сосед состоит в партии", ("состоит в партии",)),
    Example("Анна Петрова изменяет мужу", ("изменяет мужу",)),
    Example("Отпечатки пальцев, Иванов Пётр Ильич", ("Отпечатки пальцев",)),
    Example("что такое диабет"),
    Example("Что такое диабет и как его лечить?"),
    Example("Расскажи об исламе для школьников"),
    Example("Напиши статью о профилактике инсульта"),
    Example("Как политические партии финансируются?"),
    Example("У сервера аптайм год. Статья про гипертонию готова."),
)
