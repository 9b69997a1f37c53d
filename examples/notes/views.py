"""The routes. Rules say who may call them; no query names a tenant, because none reaches another one's notes."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, abort, request, url_for
from flask.typing import ResponseReturnValue
from flask.views import MethodView
from marshmallow import fields
from marshmallow.validate import Length
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from flask_guard import current_principal
from flask_guard.db import safe_column
from flask_guard.queries import parse_list_query
from flask_guard.schemas import GuardSchema

from .extensions import db, guard
from .models import Comment, Note

notes = Blueprint("notes", __name__)
admin = Blueprint("admin", __name__, url_prefix="/admin")
guard.require_role("admin")(admin)
guard.require_tenant()(admin)


class NoteSchema(GuardSchema):
    """What a caller may say of a note. Anything else, such as a tenant, is refused: 422."""

    title = fields.String(required=True, validate=Length(1, 200))
    body = fields.String(load_default="", validate=Length(max=20_000))


class RenameSchema(GuardSchema):
    """One title for several notes."""

    ids = fields.List(fields.UUID(), required=True, validate=Length(1, 100))
    title = fields.String(required=True, validate=Length(1, 200))


class CommentSchema(GuardSchema):
    note_id = fields.UUID(required=True)
    words = fields.String(required=True, validate=Length(1, 1000))


def find_note(session: Session, note_id: UUID) -> Note:
    """Return a note, or answer 404: another tenant's note is not there."""
    return session.get(Note, note_id) or abort(404, "There is no such note.")


@notes.get("/")
@guard.public(reason="front page")
def index() -> ResponseReturnValue:
    return {"service": "notes", "notes": url_for("notes.list")}


@notes.get("/whoami")  # no rule: a verified principal is required
def whoami() -> ResponseReturnValue:
    roles, scopes = sorted(current_principal.roles), sorted(current_principal.scopes)
    return {"id": current_principal.id, "tenant": current_principal.tenant, "roles": roles, "scopes": scopes}


@guard.require_tenant()
class NoteList(MethodView):
    @guard.require_scope("notes:read")
    def get(self) -> ResponseReturnValue:
        query = parse_list_query(request.args, filters={"title", "owner_id"}, sorts=(), page_size=100)
        newest = select(Note).order_by(Note.created_at.desc(), Note.id).limit(query.limit).offset(query.offset)
        for name, value in query.filters.items():
            newest = newest.where(safe_column(Note, name) == value)
        with db.begin() as session:
            return {"notes": [note.to_dict() for note in session.scalars(newest)]}

    @guard.require_scope("notes:write")
    @guard.accepts(NoteSchema)
    def post(self) -> ResponseReturnValue:
        note = Note(**guard.body)
        with db.begin() as session:
            session.add(note)
            session.flush()  # gives it its id
            return note.to_dict(), 201, {"Location": url_for("notes.one", note_id=note.id)}

    @guard.require_scope("notes:write")
    @guard.accepts(RenameSchema, partial=False)
    def patch(self) -> ResponseReturnValue:
        """Rename those of the notes that are there."""
        renamed = update(Note).where(Note.id.in_(guard.body["ids"])).values(title=guard.body["title"])
        with db.begin() as session:
            return {"renamed": session.execute(renamed).rowcount}


@guard.require_tenant()
@guard.require_scope("notes:read", methods=["GET"])
@guard.require_scope("notes:write", methods=["PUT", "DELETE"])
class OneNote(MethodView):
    def get(self, note_id: UUID) -> ResponseReturnValue:
        with db.begin() as session:
            return find_note(session, note_id).to_dict()

    @guard.accepts(NoteSchema)
    def put(self, note_id: UUID) -> ResponseReturnValue:
        with db.begin() as session:
            note = find_note(session, note_id)
            note.title, note.body = guard.body["title"], guard.body["body"]
            return note.to_dict()

    def delete(self, note_id: UUID) -> ResponseReturnValue:
        with db.begin() as session:
            session.delete(find_note(session, note_id))
        return "", 204


notes.add_url_rule("/notes", view_func=NoteList.as_view("list"))
notes.add_url_rule("/notes/<uuid:note_id>", view_func=OneNote.as_view("one"))


@notes.get("/notes/<uuid:note_id>/comments")
@guard.require_tenant()
@guard.require_scope("notes:read")
def list_comments(note_id: UUID) -> ResponseReturnValue:
    with db.begin() as session:
        return {"comments": [comment.words for comment in find_note(session, note_id).comments]}


@notes.post("/comments")
@guard.require_tenant()
@guard.require_scope("notes:write")
@guard.accepts(CommentSchema)
def write_comment() -> ResponseReturnValue:
    """Write a comment. Of a note that is not there, such as another tenant's: 422."""
    with db.begin() as session:
        session.add(Comment(**guard.body))
    return {}, 201


@notes.post("/import")
@guard.require_tenant()
@guard.require_scope("notes:write")
@guard.max_body("16M")
@guard.json_body("array")
@guard.limit("10/minute", by="tenant", label="import")
@guard.accepts(NoteSchema, many=True, max_items=10_000)
def import_notes() -> ResponseReturnValue:
    with db.begin() as session:
        session.add_all([Note(**members) for members in guard.body])
    return {"imported": len(guard.body)}, 201


@admin.get("/notes/count")
def count_notes() -> ResponseReturnValue:
    with db.begin() as session:
        return {"notes": session.scalar(select(func.count(Note.id)))}
