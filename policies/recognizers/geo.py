"""Places on the map as numbers: latitude and longitude, side by side, under their own keys, or in degrees and minutes."""

from __future__ import annotations

import re
from collections.abc import Iterator

from policies.entities import Entity
from policies.finding import Finding
from policies.recognizers.identifier import LABELLED, UNMISTAKABLE, Example


def find(lower: str) -> Iterator[Finding]:
    """Coordinates in a folded, lower-case text."""
    for match in _PAIR.finditer(lower):
        one, two = (float(match[side].replace(",", ".")) for side in ("one", "two"))
        labelled = bool(_LABEL.search(lower, max(0, match.start() - 48), match.start()))
        if not labelled and (
            _METRIC.search(lower, max(0, match.start() - 24), match.start())
            or _PUBLIC.search(lower, max(0, match.start() - _AROUND), match.end() + _AROUND)
        ):
            continue
        if _is_place(one, two) or (labelled and _is_anywhere(one, two)) or (labelled and _is_place(two, one)):
            precise = min(len(match["first"]), len(match["second"])) >= 4
            if labelled or precise:
                yield Finding(*match.span(), Entity.GEO, LABELLED if labelled else UNMISTAKABLE)
    for match in _KEYED.finditer(lower):
        yield Finding(*match.span("value"), Entity.GEO, LABELLED)
    for pattern in (_DEGREES, _SENTENCE):
        for match in pattern.finditer(lower):
            yield Finding(*match.span(), Entity.GEO, LABELLED)


def _is_place(latitude: float, longitude: float) -> bool:
    """Whether it lies between the westernmost and easternmost, southernmost and northernmost points of Russia."""
    return 41 <= latitude <= 82 and 19 <= longitude <= 180


def _is_anywhere(latitude: float, longitude: float) -> bool:
    return -90 <= latitude <= 90 and -180 <= longitude <= 180


_PAIR = re.compile(
    r"(?<![0-9a-zа-яё.,-])(?:[nс] ?)?(?P<one>-?[0-9]{1,3}[.,](?P<first>[0-9]{2,15}))(?: ?°)?(?: ?[nsсю]\.?(?:ш\.?)?)?"
    r"(?:[,;/|] ?| {1,2}"
    r"|, ?[a-zа-я]{3,9}[:= ]{1,3})(?:[eв] ?)?(?P<two>-?[0-9]{1,3}[.,](?P<second>[0-9]{2,15}))(?![0-9]"
    r"|[.,][0-9])"
    r"(?: ?°)?(?: ?[ewвз]\.? ?(?:д\.?)?(?![a-zа-яё]))?"
)
_LABEL = re.compile(
    r"(?<![a-zа-яё])(?:координат\w*|гео\w*|geo\w*|gps|глонасс|широт\w*|долгот\w*|точк\w{1,2}|lat\w*|lon\w*"
    r"|lng|ll|loc(?:ation)?"
    r"|coord\w*|point|метк\w{1,2}|местоположени\w*|локаци\w*|maps?)[^0-9]{0,28}$"
)
_METRIC = re.compile(r"(?:loss|acc|score|mean|std|курс|вес|ошибк|rate|price|метрик|auc|f1)[^0-9]{0,16}$")
_AROUND = 60
# A place that everybody knows, or an exercise.
_PUBLIC = re.compile(
    r"центр\w? (?:город|[а-яё]{3,})|гаверсин|haversine|достопримечат|кремл|площадь(?! [0-9])|музе[йяе]|аэропорт|вокзал|памятник|столиц"
)
# What receivers send: degrees and minutes in one number (NMEA 0183).
_SENTENCE = re.compile(r"(?<![0-9.])[0-9]{4}\.[0-9]{2,6},[ns],[0-9]{5}\.[0-9]{2,6},[ew](?![a-z])")
_KEYED = re.compile(
    r"(?<![a-zа-яё])(?:lat(?:itude)?|lon(?:gitude)?|lng|широт[аы]|долгот[аы])[\"']?[ ]{0,2}(?:[:=-]|—)?[ ]{0,2}[\"'>]?"
    r"(?P<value>-?[0-9]{1,3}[.,][0-9]{3,15})(?![0-9])"
)
# One of the two: 55°45'21", 55°45.35', with the side of the world before or after it; the longitude may stand first.
_ANGLE = (
    r"[0-9]{1,3} ?° ?[0-9]{1,2}(?:[.,][0-9]{1,6})? ?' ?(?:[0-9]{1,2}(?:[.,][0-9]{1,6})? ?(?:\"|'')? ?)?"
    r"(?:[nsewсювз]\.? ?(?:[шд]\.?)?(?![a-zа-яё]))?"
)
_DEGREES = re.compile(
    rf"(?<![0-9a-zа-яё])(?:[nsewсювз] ?)?{_ANGLE}[ ,;/]{{1,3}}(?:и )?(?:[nsewсювз] ?)?{_ANGLE}(?![a-zа-яё0-9])"
)

EXAMPLES = (
    Example("$GPRMC,081836,A,5545.3451,N,03737.0604,E,000.0", ("5545.3451,N,03737.0604,E",)),
    Example("55.755831, 37.617673", ("55.755831, 37.617673",)),
    Example("Курьер в точке 59.9391 30.3158, ждёт", ("59.9391 30.3158",)),
    Example("координаты: 55.7558,37.6176", ("55.7558,37.6176",)),
    Example("https://maps.example.ru/?ll=37.617673%2C55.755831&z=12", ("37.617673%2C55.755831",)),
    Example('{"lat": 55.755831, "lon": 37.617673}', ("55.755831", "37.617673")),
    Example("широта 55.7558, долгота 37.6176", ("55.7558, долгота 37.6176",)),
    Example("55,755831; 37,617673", ("55,755831; 37,617673",)),
    Example("55°45′21″N 37°37′04″E", ("55°45′21″N 37°37′04″E",)),
    Example("geo:43.1155,131.8855", ("43.1155,131.8855",)),
    Example("N55.755831 E37.617673", ("N55.755831 E37.617673",)),
    Example("lat=55.755831&lng=37.617673", ("55.755831", "37.617673")),
    Example("локация 55.7558° с.ш., 37.6176° в.д.", ("55.7558° с.ш., 37.6176° в.д.",)),
    Example("угол участка 39°53'36\" в.д. 59°13'14\" с.ш.", ("39°53'36\" в.д. 59°13'14\" с.ш.",)),
    Example("последняя N56°12'44.1\" E38°07'09.8\"", ("N56°12'44.1\" E38°07'09.8\"",)),
    Example("N56°12.735', E38°07.163'", ("N56°12.735', E38°07.163'",)),
    Example("Угол 35°20' и рост 1'20\""),
    Example("Курс 92.35, цена 101.20"),
    Example("версия 55.7558.37"),
    Example("0.1234, 0.5678 — веса модели"),
    Example("Доходность 45.12 и 50.13 процента"),
    Example("Замеры 12.3456, 78.9012"),
    Example("Красная площадь 55.7539, 37.6208 — координаты на карте музея"),
    Example("расстояние от 55.7558, 37.6173 по формуле гаверсинусов"),
)
