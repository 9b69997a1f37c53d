"""Members of clubs: flask-smorest has the routes and their OpenAPI document, flask_guard says who may do what.

    pip install flask-smorest flask-sqlalchemy-lite
    export $(flask-guard keygen jwt)
    flask --app examples/smorest/app run

Each club is a tenant. Members are kept in SQLite in the instance folder, or where CLUBS_DATABASE_URL says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Flask, Request
from flask.views import MethodView
from flask_smorest import Api, Blueprint, abort
from flask_sqlalchemy_lite import SQLAlchemy
from marshmallow import fields, validate
from sqlalchemy import UniqueConstraint, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from webargs.flaskparser import FlaskParser

from flask_guard import Guard
from flask_guard.db import TenantMixin
from flask_guard.policies import public
from flask_guard.schemas import GuardSchema, Hashed, Immutable, ReadOnly, Redacted, Unique, WritableBy

db = SQLAlchemy()
guard = Guard()
guard.rules({"api-docs.*": public(reason="the OpenAPI document")})


class Base(DeclarativeBase):
    pass


class Member(TenantMixin, Base):
    __tablename__ = "members"
    __table_args__ = (UniqueConstraint("tenant_id", "email"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str]
    name: Mapped[str] = mapped_column(default="")
    pin: Mapped[str]
    rank: Mapped[str]
    phone: Mapped[str | None]


class MemberSchema(GuardSchema):
    """A schema like any other to flask-smorest, which loads and dumps by it and describes it."""

    id = ReadOnly(fields.Integer())
    email = Immutable(fields.Email(required=True, validate=Unique(Member.email)))
    name = fields.String(validate=validate.Length(max=80))
    pin = Hashed(fields.String(required=True, validate=validate.Length(min=6)))
    rank = WritableBy(fields.String(load_default="member", validate=validate.OneOf(["member", "treasurer"])), "chair")
    phone = Redacted(fields.String(), visible_to=("chair", "treasurer"))


class MemberChangesSchema(MemberSchema):
    """Any part of it. What is partial is an update: what is immutable is left as it is."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"partial": True, **options})


class SearchSchema(GuardSchema):
    first_id = fields.Integer(load_default=0)

    class Meta:
        coerce = True  # in a query string everything is text


class GuardedParser(FlaskParser):
    """Has JSON parsed by Guard: UTF-8, no doubled members, not too deep. webargs would parse it on its own."""

    def load_json(self, req: Request, schema: Any) -> Any:
        return req.get_json()


class GuardedBlueprint(Blueprint):
    ARGUMENTS_PARSER = GuardedParser()


members = GuardedBlueprint("members", __name__, url_prefix="/members")
guard.require_tenant()(members)


def find_member(member_id: int) -> Member:
    """Return a member of the caller's club, or answer 404: another club's is not there."""
    return db.session.get(Member, member_id) or abort(404)


@members.route("/")
class Members(MethodView):
    @members.arguments(SearchSchema, location="query")
    @members.response(200, MemberSchema(many=True))
    def get(self, search: Mapping[str, Any]) -> Any:
        later = select(Member).where(Member.id >= search["first_id"])
        return db.session.scalars(later.order_by(Member.id).limit(100))

    @guard.require_role("chair")
    @members.arguments(MemberSchema)
    @members.response(201, MemberSchema)
    def post(self, body: Mapping[str, Any]) -> Member:
        member = Member(**body)
        db.session.add(member)
        db.session.commit()
        return member


@members.route("/<int:member_id>")
class OneMember(MethodView):
    @members.response(200, MemberSchema)
    def get(self, member_id: int) -> Member:
        return find_member(member_id)

    @members.arguments(MemberChangesSchema)
    @members.response(200, MemberSchema)
    def patch(self, body: Mapping[str, Any], member_id: int) -> Member:
        member = find_member(member_id)
        for name, value in body.items():
            setattr(member, name, value)
        db.session.commit()
        return member


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Return the application. config: DATABASE_URL, and settings of Flask and of Guard."""
    app = Flask(__name__, static_folder=None)
    app.config.from_mapping(API_TITLE="Clubs", API_VERSION="1", OPENAPI_VERSION="3.0.3", OPENAPI_URL_PREFIX="/")
    app.config.from_prefixed_env("CLUBS")
    app.config.from_mapping(config)
    app.config["SQLALCHEMY_ENGINES"] = {"default": app.config.get("DATABASE_URL", "sqlite:///clubs.sqlite3")}
    db.init_app(app)
    Api(app).register_blueprint(members)
    guard.init_app(app, db=db)
    with app.app_context():
        Base.metadata.create_all(db.engine)
    return app
