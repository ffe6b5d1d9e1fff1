"""Audit events: who of the staff touched which data."""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta

from features.contract import Event, Id, Name

MOST_CUSTOMERS = 1_000
Rows = Annotated[int, Meta(ge=0, le=10**12)]
Link = Annotated[str, Meta(max_length=64)]


class Audit(Event, kw_only=True):
    """Who touched what: the fields of every audit event."""

    actor: Id
    role: Name = ""
    purpose: Name = ""
    object: Name = ""
    rows: Rows = 0
    fields: list[str] = []
    client_ip: Name = ""
    device: Name = ""
    result: Name = "ok"
    account: Name = ""
    key: Name = ""
    query: Name = ""
    marks: list[str] = []
    campaign: Name = ""
    coupon: Name = ""
    without_consent: Rows = 0
    trail: Rows = 0
    before: Link = ""
    seal: Link = ""


class AuditAccess(Audit, tag="audit_access"):
    """Login, view, search, permission change, coupon issue, log delete and the like; `action` names it."""

    anonymous: ClassVar[bool] = True
    action: Id


class AuditExport(Audit, tag="audit_export"):
    """Customer data leaving the house."""

    anonymous: ClassVar[bool] = True
    customers: Annotated[list[Id], Meta(max_length=MOST_CUSTOMERS)] = []


class AuditTold(Audit, tag="audit_told"):
    """What another has done that is about this account, device or export. The security flow says so, once.

    Rules count per actor, and what two actors did lies in two partitions: so the one is told to the other.
    """

    anonymous: ClassVar[bool] = True
    action: Id
    by: Id
