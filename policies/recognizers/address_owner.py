"""Whose an address is: the nearest word before it that speaks of an owner."""

from __future__ import annotations

import re
from collections.abc import Sequence

from policies.finding import Finding


def is_of_a_firm(lower: str, start: int, persons: Sequence[Finding], *, has_office: bool) -> bool:
    """Whether the nearest word before `start` that speaks of an owner speaks of an organisation.

    `persons` are the names found in the same text. Nobody named: an office is a firm's.
    """
    owner, said = None, 0
    for match in _OWNER.finditer(lower, max(0, start - 160), start):
        owner, said = match.lastgroup, match.end()
    if owner == "firm" and any(said <= person.start and person.end <= start for person in persons):
        return False  # «ООО «Лига» и Петров П.П., г. Омск, …»
    return owner == "firm" or (owner is None and has_office)


_OWNER = re.compile(
    r"(?<![а-яёa-z])(?:(?P<firm>ооо|ао|пао|зао|оао|нко|гбу|фгуп|муп|мбу|фгбу|ано|тсж|юр(?:идическ\w+"
    r"|\.)? ?(?:адрес|лиц)\w*|юридическ\w+|юр\.|мест\w нахождени\w*"
    r"|местонахождени\w*|огрн|кпп|бик|филиал\w*|банк\w*|магазин\w*|офис\w*|склад\w*|кафе|ресторан\w*"
    r"|музе\w{1,2}|театр\w*|школ\w{1,2}|больниц\w|поликлиник\w|клиник\w|отел\w{1,2}|гостиниц\w"
    r"|мфц|где (?:находится|расположен\w*)|как (?:добраться|доехать|пройти|проехать)|суд\w?|вокзал\w*"
    r"|аэропорт\w*|отделени\w{1,2}|почт(?:а|ы|е) россии|пвз|пункт\w? выдачи|бизнес-центр\w*|бц|тц|трц"
    r"|заведени\w+|библиотек\w|церк\w{2,3}|памятник\w*|завод\w*|компани\w{1,2}|фирм\w"
    r"|организаци\w{1,2}|представительств\w*|салон\w*|organization\w*|legal\w*|аптек\w|автосервис\w*"
    r"|company|office|shop|store)"
    r"|(?P<person>жив[уёе]\w{0,3}|прожива\w*|прож\.?|прописан\w*|зарегистрирован\w{0,3}|регистраци\w* по"
    r"|мест\w жительств\w*|гражданин\w*|гражданк\w*|паспорт\w*|рожд\w*|г\.р|домашн\w+|клиент\w*|пациент\w*"
    r"|абонент\w*|получател\w*"
    r"|заявител\w*|истец|истц\w|ответчик\w*|снилс|доставк\w*|достав\w*|курьер\w*|прописк\w|жилец|жильц\w+"
    r"|собственник\w*|владел\w+|страховател\w*|водител\w*|ребён\w+|ребен\w+|студент\w*|сотрудни\w+"
    r"|работник\w*|фио|мой|моя"
    r"|покупател\w*|заказчик\w*|больн(?:ой|ая)|подсудим\w+|home|customer|client))(?![а-яёa-z])"
)

# --- fields ----------------------------------------------------------------------------------------------------------------
