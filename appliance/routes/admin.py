"""`/v1/admin/…`: for staff, by keys of their own. What is said here to people is Russian."""

from __future__ import annotations

import msgspec
from litestar import MediaType, Request, Response, get, post
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import FromPath

from appliance.auth import Duty
from appliance.service import Service
from appliance.status import REQUEST_ID
from appliance.wire import admin as wire

_Request = Request[None, None, State]


@get("/v1/admin/stops")
async def stops(request: _Request, service: NamedDependency[Service]) -> Response[bytes]:
    """What is stopped."""
    await service.officer(request.headers.get("authorization"))
    return _answer(wire.StopList([wire.stop_shown(order) for order in service.officers.governance.orders]))


@post("/v1/admin/stops", status_code=200)
async def lay_stop(request: _Request, service: NamedDependency[Service]) -> Response[bytes]:
    """Stop something from this moment on."""
    officer = await service.officer(request.headers.get("authorization"))
    asked = wire.decode_stop(await request.body())
    order, record = await service.officers.lay(officer, _id(request), asked.kind, asked.name, asked.ground)
    return _answer(wire.stop_shown(order), record)


@post("/v1/admin/stops/lift", status_code=200)
async def lift_stop(request: _Request, service: NamedDependency[Service]) -> Response[bytes]:
    """Lift a stop."""
    officer = await service.officer(request.headers.get("authorization"))
    asked = wire.decode_stop(await request.body())
    record = await service.officers.lift(officer, _id(request), asked.kind, asked.name, asked.ground)
    return _answer(wire.StopList([wire.stop_shown(order) for order in service.officers.governance.orders]), record)


@get("/v1/admin/policy")
async def policy(request: _Request, service: NamedDependency[Service]) -> Response[bytes]:
    """The policy in force."""
    await service.officer(request.headers.get("authorization"))
    return _answer(wire.policy_shown(service.officers.governance.policy))


@post("/v1/admin/policy/reload", status_code=200)
async def reload_policy(request: _Request, service: NamedDependency[Service]) -> Response[bytes]:
    """Bring the policy on disk into force; a faulty one is refused and the old one stays."""
    officer = await service.officer(request.headers.get("authorization"))
    loaded, record = await service.officers.reload(officer, _id(request))
    return _answer(wire.policy_shown(loaded), record)


@get("/v1/admin/holds")
async def holds(request: _Request, service: NamedDependency[Service]) -> Response[bytes]:
    """The answers that wait for a person, without their texts."""
    await service.officer(request.headers.get("authorization"))
    return _answer(wire.HoldList([wire.hold_shown(held, texts=False) for held in service.holds.waiting]))


@get("/v1/admin/holds/{name:str}")
async def hold(request: _Request, service: NamedDependency[Service], name: FromPath[str]) -> Response[bytes]:
    """What was asked and what would be answered."""
    officer = await service.officer(request.headers.get("authorization"))
    return _answer(wire.hold_shown(await service.holds.view(officer, name), texts=True))


@post("/v1/admin/holds/{name:str}/approve", status_code=200)
async def approve(request: _Request, service: NamedDependency[Service], name: FromPath[str]) -> Response[bytes]:
    """Let the answer out."""
    officer = await service.officer(request.headers.get("authorization"))
    return _answer({"approved": True}, await service.holds.decide(officer, name, approve=True))


@post("/v1/admin/holds/{name:str}/deny", status_code=200)
async def deny(request: _Request, service: NamedDependency[Service], name: FromPath[str]) -> Response[bytes]:
    """Do not let the answer out."""
    officer = await service.officer(request.headers.get("authorization"))
    return _answer({"approved": False}, await service.holds.decide(officer, name, approve=False))


@post("/v1/admin/subjects/search", status_code=200)
async def find_subject(request: _Request, service: NamedDependency[Service]) -> Response[bytes]:
    """The numbers of the records that speak of a person."""
    officer = await service.officer(request.headers.get("authorization"))
    asked = wire.decode_subject(await request.body())
    numbers, record = await service.custody.search(officer, _id(request), asked.subject, asked.ground)
    return _answer({"records": numbers}, record)


@post("/v1/admin/subjects/erase", status_code=200)
async def erase_subjects(request: _Request, service: NamedDependency[Service]) -> Response[bytes]:
    """Cut people off from their records."""
    officer = await service.officer(request.headers.get("authorization"))
    asked = wire.decode_erasure(await request.body())
    erasures = await service.custody.erase(officer, _id(request), asked.subjects, asked.ground)
    return _answer({"erasures": [wire.erasure_shown(each) for each in erasures]})


@post("/v1/admin/subjects/hold", status_code=200)
async def hold_subject(request: _Request, service: NamedDependency[Service]) -> Response[bytes]:
    """Keep a person from being erased."""
    return await _hold(request, service, held=True)


@post("/v1/admin/subjects/unhold", status_code=200)
async def unhold_subject(request: _Request, service: NamedDependency[Service]) -> Response[bytes]:
    """Let a person be erased again."""
    return await _hold(request, service, held=False)


@post("/v1/admin/keys/renew", status_code=200)
async def renew_keys(request: _Request, service: NamedDependency[Service]) -> Response[bytes]:
    """Wrap all subjects' keys anew, so that older copies of the log open to nobody."""
    officer = await service.officer(request.headers.get("authorization"))
    asked = wire.decode_renewal(await request.body() or b"{}")
    generation, record = await service.custody.renew(officer, _id(request), asked.ground)
    return _answer({"generation": generation}, record)


@post("/v1/admin/disclosures", status_code=200)
async def ask_disclosure(request: _Request, service: NamedDependency[Service]) -> Response[bytes]:
    """Ask to open records for somebody; another officer decides."""
    officer = await service.officer(request.headers.get("authorization"))
    asked = wire.decode_disclosure(await request.body())
    record = await service.disclosures.ask(officer, _id(request), asked)
    return _answer({"asked": record}, record)


@post("/v1/admin/disclosures/decide", status_code=200)
async def decide_disclosure(request: _Request, service: NamedDependency[Service]) -> Response[bytes]:
    """Agree to open records, or do not."""
    officer = await service.officer(request.headers.get("authorization"))
    decision = wire.decode_decision(await request.body())
    record = await service.disclosures.decide(officer, _id(request), decision)
    return _answer({"asked": decision.asked, "approved": decision.approve}, record)


@get("/v1/admin/witnesses")
async def witnesses(request: _Request, service: NamedDependency[Service]) -> Response[bytes]:
    """Where the log's witnesses stand."""
    await service.officer(request.headers.get("authorization"))
    return _answer(wire.witnesses_shown(service.witnesses))


@post("/v1/admin/witnesses/ask", status_code=200)
async def ask_witnesses(request: _Request, service: NamedDependency[Service]) -> Response[bytes]:
    """Ask all of them now."""
    officer = await service.officer(request.headers.get("authorization"))
    officer.needs(Duty.DPO, Duty.SECURITY, Duty.OPERATOR)
    await service.witnesses.ask_now()
    return _answer(wire.witnesses_shown(service.witnesses))


@post("/v1/admin/keys/hand-over", status_code=200)
async def hand_over(request: _Request, service: NamedDependency[Service]) -> Response[bytes]:
    """Begin a signing epoch."""
    officer = await service.officer(request.headers.get("authorization"))
    asked = wire.decode_renewal(await request.body() or b"{}")
    number, record = await service.custody.hand_over(officer, _id(request), asked.ground)
    return _answer({"epoch": number}, record)


@post("/v1/admin/log/scrub", status_code=200)
async def scrub(request: _Request, service: NamedDependency[Service]) -> Response[bytes]:
    """Read all records of the log again, now, and say what is wrong with them."""
    officer = await service.officer(request.headers.get("authorization"))
    checked, damaged, record = await service.scrubber.now(officer)
    return _answer(wire.ScrubShown(checked.size, checked.root.hex(), damaged), record)


HANDLERS = [
    stops,
    lay_stop,
    lift_stop,
    policy,
    reload_policy,
    holds,
    hold,
    approve,
    deny,
    find_subject,
    erase_subjects,
    hold_subject,
    unhold_subject,
    renew_keys,
    ask_disclosure,
    decide_disclosure,
    witnesses,
    ask_witnesses,
    hand_over,
    scrub,
]


async def _hold(request: _Request, service: Service, *, held: bool) -> Response[bytes]:
    officer = await service.officer(request.headers.get("authorization"))
    asked = wire.decode_subject(await request.body())
    changed, record = await service.custody.hold(officer, _id(request), asked.subject, asked.ground, held=held)
    return _answer({"held": held, "changed": changed}, record)


def _id(request: _Request) -> str:
    request_id: str = request.scope["state"][REQUEST_ID]
    return request_id


def _answer(shown: object, record: int | None = None) -> Response[bytes]:
    headers = {} if record is None else {"X-Audit-Record": str(record)}
    return Response(msgspec.json.encode(shown), media_type=MediaType.JSON, headers=headers)
