"""Seeded values go through every path; afterwards none of them is in a file of ours, in our output, or in an export."""

from __future__ import annotations

import json
from pathlib import Path

from audit import export_bundle
from tests.e2e.running import Installed, Process
from tests.e2e.upstream import Reply, Upstream

CANARIES = (
    "Канарейкин",
    "Kanareikin",
    "916 555-01-02",
    "112-233-445 95",
    "kanareika@example.ru",
    "Xk9-Qw7rT2",
    "client-kanareika",
    "сахарный диабет",
)
TEXT = "Клиент Канарейкин Пётр Сергеевич (Kanareikin), телефон +7 916 555-01-02, СНИЛС 112-233-445 95, kanareika@example.ru, password=Xk9-Qw7rT2. "
HEALTH = TEXT + "Пациент Канарейкин, диагноз — сахарный диабет."


def test_no_seeded_value_is_in_a_file_of_ours_or_in_our_output(upstream: Upstream, tmp_path: Path) -> None:
    installed = Installed(tmp_path, upstream.base_url, workers=1)
    with Process(installed) as process:
        service = process.running
        headers = {"X-Subject": "client-kanareika"}
        call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": json.dumps({"who": TEXT})}}
        statuses = [
            service.chat(TEXT, model="cloud", headers=headers).status_code,
            service.chat(TEXT, model="cloud", stream=True, headers=headers, user="kanareika@example.ru").status_code,
            service.chat(TEXT, model="abroad", headers=headers).status_code,
            service.chat(HEALTH, headers=headers).status_code,
            service.chat(
                [{"role": "assistant", "tool_calls": [call]}, {"role": "user", "content": TEXT}], model="cloud"
            ).status_code,
            service.chat(TEXT, model=TEXT).status_code,
            service.chat(TEXT + "\x00").status_code,
            service.chat(TEXT, headers={"X-Purpose": "Kanareikin"}).status_code,
            service.chat(TEXT, headers={"Authorization": "Bearer Xk9-Qw7rT2"}).status_code,
            service.chat(TEXT, Kanareikin=1).status_code,
        ]
        result = {"entity_type": "PERSON", "start": 0, "end": 10_000, "score": 1}
        for path, body in (
            ("/v1/pii/analyze", {"text": HEALTH, "user": "kanareika@example.ru"}),
            ("/v1/pii/analyze", {"text": TEXT, "Kanareikin": 1}),
            ("/v1/pii/analyze", {"text": TEXT, "kinds": ["Kanareikin"]}),
            ("/analyze", {"text": HEALTH, "allow_list": ["Kanareikin"]}),
            (
                "/anonymize",
                {"text": TEXT, "analyzer_results": [], "anonymizers": {"Kanareikin": {"type": "Kanareikin"}}},
            ),
            ("/anonymize", {"text": TEXT, "analyzer_results": [result]}),
            ("/anonymize", {"text": TEXT, "analyzer_results": [result | {"end": 5}]}),
        ):
            statuses.append(service.http.post(path, json=body, headers=headers).status_code)
        upstream.replies = [
            Reply(status=500, raw=TEXT.encode()),
            Reply(
                status=400,
                raw=json.dumps({"error": {"message": TEXT, "code": TEXT}}).encode(),
                headers={"x-request-id": "kanareika@example.ru"},
            ),
            Reply(raw=TEXT.encode(), headers={"Content-Type": "text/html"}),
            Reply(text=TEXT, drop_after=3),
        ]
        statuses += [service.chat("Привет", model="cloud").status_code for _ in range(4)]
        service.http.close()
        process.terminate()
        output = b"".join(part.encode() for part in process.process.communicate(timeout=60))
    export_bundle(installed.settings.log.path, tmp_path / "export")

    assert statuses == [
        200,
        200,
        403,
        200,
        200,
        404,
        400,
        403,
        401,
        400,
        200,
        400,
        400,
        200,
        400,
        400,
        200,
        502,
        400,
        502,
        502,
    ]
    files = [path for path in tmp_path.rglob("*") if path.is_file() and "cases" not in path.parts]
    assert len(files) > 6
    for name, content in [("output", output), *((path.name, path.read_bytes()) for path in files)]:
        for canary in CANARIES:
            assert canary.encode() not in content, f"a seeded value is in {name}"
    with_texts = [record.body for record in installed.records()]
    assert not [body for body in with_texts for canary in CANARIES if canary.encode() in body]
