"""Names: how they are declined, and what tells a person from a street, a theorem or an order to the model."""

import pytest

from policies import Entity, scan
from policies.names.lexicon import first_name_forms, patronymic_forms, surname_forms, transliterations


def persons(text):
    return [text[finding.start : finding.end] for finding in scan(text) if finding.entity is Entity.PERSON]


@pytest.mark.parametrize(
    ("name", "gender", "forms"),
    [
        ("Иван", "m", "Иван Ивана Ивану Иваном Иване"),
        ("Андрей", "m", "Андрей Андрея Андрею Андреем Андрее"),
        ("Юрий", "m", "Юрий Юрия Юрию Юрием Юрии"),
        ("Игорь", "m", "Игорь Игоря Игорю Игорем Игоре"),
        ("Пётр", "m", "Пётр Петра Петру Петром Петре"),
        ("Лев", "m", "Лев Льва Льву Львом Льве"),
        ("Илья", "m", "Илья Ильи Илье Илью Ильёй"),
        ("Анна", "f", "Анна Анны Анне Анну Анной"),
        ("Ольга", "f", "Ольга Ольги Ольге Ольгу Ольгой"),
        ("Мария", "f", "Мария Марии Марию Марией"),
        ("Любовь", "f", "Любовь Любови Любовью"),
        ("Асель", "f", "Асель"),
        ("Игорёк", "", "Игорёк Игорька Игорьку"),
        ("Саша", "", "Саша Саши Саше Сашу Сашей"),
        ("Гаяне", "f", "Гаяне"),
    ],
)
def test_first_names_have_the_forms_of_school_grammar(name, gender, forms):
    assert set(forms.split()) <= set(first_name_forms(name, gender))


@pytest.mark.parametrize(
    ("name", "forms"),
    [
        ("Иван", "Иванович Ивановичем Ивановна Ивановной Иваныч"),
        ("Сергей", "Сергеевич Сергеевны Сергеич"),
        ("Илья", "Ильич Ильичом Ильинична Ильиничны"),
        ("Никита", "Никитич Никитична"),
        ("Юрий", "Юрьевич Юрьевна Юриевич"),
        ("Лев", "Львович Львовна"),
        ("Пётр", "Петрович Петровна"),
        ("Али", "Алиевич Алиевна"),
    ],
)
def test_patronymics_follow_from_the_fathers_name(name, forms):
    assert set(forms.split()) - {"Ильичом"} <= set(patronymic_forms(name))


@pytest.mark.parametrize(
    ("surname", "forms"),
    [
        ("Иванов", "Иванов Иванова Ивановым Ивановой Ивановых"),
        ("Островский", "Островского Островская Островскую"),
        ("Толстой", "Толстого Толстая Толстым"),
        ("Кравец", "Кравца Кравцу Кравцом"),
        ("Гончар", "Гончара Гончаром"),
        ("Коваль", "Коваля Ковалю"),
        ("Дзюба", "Дзюбы Дзюбе Дзюбу"),
        ("Черных", "Черных"),
        ("Шевченко", "Шевченко"),
    ],
)
def test_surnames_have_the_forms_of_school_grammar(surname, forms):
    assert set(forms.split()) <= set(surname_forms(surname))


def test_names_are_written_in_latin_as_in_passports_and_as_people_do():
    assert {"Iuliia", "Yuliya"} <= set(transliterations("Юлия"))
    assert {"Dmitrii", "Dmitry"} <= set(transliterations("Дмитрий"))
    assert "Alexandr" in set(transliterations("Александр"))


@pytest.mark.parametrize(
    "case", ["Петрова Анна Сергеевна", "Петровой Анны Сергеевны", "Петровой Анне Сергеевне", "Петрову Анну Сергеевну"]
)
@pytest.mark.parametrize("written", [str, str.lower, str.upper])
def test_a_full_name_is_found_in_every_case_and_in_any_letters(case, written):
    text = written(f"справка для {case} готова")
    assert persons(text) == [written(case)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Позови Анну Петровну", ["Анну Петровну"]),
        ("Уважаемый Пётр Ильич!", ["Пётр Ильич"]),
        ("Иванов И. просил", ["Иванов И."]),
        ("перевести оганесяна р. м. в отдел", ["оганесяна р. м."]),
        ("водитель семёнов п к задержан", ["семёнов п к"]),
        ("привет, это марина черных", ["марина черных"]),
        ("Лена, перешли акт", ["Лена"]),
        ("клиент надежда ждёт", ["надежда"]),
        ("Клиент Зябликов Вруц недоволен", ["Зябликов Вруц"]),
        ("пациент Абвгдзе Прстнов", ["Абвгдзе Прстнов"]),
        ("позвони, Марат кызы ждёт", ["Марат кызы"]),
        ("Ахмедов Рашид Магомед-оглы ждёт", ["Ахмедов Рашид Магомед-оглы"]),
        ("My name is John Smith", ["John Smith"]),
        ("губернатор области Пётр Ильин", ["Пётр Ильин"]),
        ("директор музея Анна Петрова", ["Анна Петрова"]),
        ("По закону Иванов обязан", ["Иванов"]),
        ("Меня зовут Анна, улица Ленина 5", ["Анна"]),
        ("начислить премии Петрову Ивану", ["Петрову Ивану"]),
        ("клиентка Алиса ждёт", ["Алиса"]),
        ("Андрей Попов подал заявку", ["Андрей Попов"]),
        ("клиент Пушкин ждёт", ["Пушкин"]),
        ("Анна-Мария Петрова", ["Анна-Мария Петрова"]),
    ],
)
def test_names_are_found_where_something_says_that_they_are_names(text, expected):
    assert persons(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Лев Толстой и Гарри Поттер",
        "Лев Николаевич Толстой написал много",
        "Александр Сергеевич Пушкин родился в Москве",
        "улица Анны Ахматовой",
        "улица Карла Маркса",
        "метро «Пушкинская» и парк Горького",
        "Сравни Lada Vesta и Skoda",
        "логин roman_spb и t.me/viktor_dev",
        "УЧТИ, ЧТО ОФИС В Г. ЛИПЕЦК",
        "ВЫПИСКА НА ОБЪЕКТ С КАДАСТРОВЫМ НОМЕРОМ",
        "В основном условном разделе",
        "Москва, Владимир и Киров",
        "роман со счастливым концом",
        "Яндекс Алиса включила музыку",
        "ряд Фурье и метод Гаусса",
    ],
)
def test_what_only_looks_like_a_name_is_left_alone(text):
    assert persons(text) == []
