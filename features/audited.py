"""Audit events: who of the staff touched which data."""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta

from features.contract import Event, Id, Name


class Audit(Event, kw_only=True):
    """Who touched what: the fields of every audit event."""

    actor: Id
    role: Name = ""
    purpose: Name = ""
    object: Name = ""
    rows: Annotated[int, Meta(ge=0, le=10**12)] = 0
    fields: list[str] = []
    client_ip: Name = ""
    device: Name = ""
    result: Name = "ok"


class AuditAccess(Audit, tag="audit_access"):
    """Login, view, search, permission change and the like; `action` names it."""

    anonymous: ClassVar[bool] = True
    action: Id


class AuditExport(Audit, tag="audit_export"):
    """Customer data leaving the house."""

    anonymous: ClassVar[bool] = True
