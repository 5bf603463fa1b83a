"""The tables as the newest migration leaves them. Times are integers: microseconds since the epoch, UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

metadata = sa.MetaData()


def micros(moment: datetime) -> int:
    """A time as the tables have it."""
    return (moment - datetime.fromtimestamp(0, UTC)) // timedelta(microseconds=1)


def _for_filters() -> tuple[sa.Column[str], sa.Column[str], sa.Column[dict[str, str]]]:
    """Columns that repeat what the document says."""
    return (
        sa.Column("display_name", sa.Text, nullable=False, server_default=""),
        sa.Column("base_model", sa.Text, nullable=False, server_default=""),
        sa.Column("labels", sa.JSON, nullable=False, server_default="{}"),
    )


tuning_jobs = sa.Table(
    "tuning_jobs",
    metadata,
    sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("project", sa.Text, nullable=False),
    sa.Column("location", sa.Text, nullable=False),
    sa.Column("created", sa.BigInteger, nullable=False),
    # State and phase repeat what the document says, for claiming and filtering.
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("phase", sa.Text, nullable=False),
    sa.Column("document", sa.JSON, nullable=False),
    sa.Column("progress", sa.JSON, nullable=False),
    sa.Column("lease_token", sa.Text),
    sa.Column("lease_expires", sa.BigInteger, nullable=False, server_default="0"),
    # How far the trainer's events have been taken in: the number of the attempt, and bytes of its file.
    sa.Column("event_attempt", sa.Integer, nullable=False, server_default="0"),
    sa.Column("event_offset", sa.BigInteger, nullable=False, server_default="0"),
    *_for_filters(),
    sa.Index("tuning_jobs_listed", "project", "location", "created", "id"),
    sa.Index("tuning_jobs_by_state", "project", "location", "state", "created", "id"),
    sa.Index("tuning_jobs_by_display_name", "project", "location", "display_name", "created", "id"),
    sa.Index("tuning_jobs_to_do", "state", "phase", "created"),
)

metrics = sa.Table(
    "metrics",
    metadata,
    sa.Column("job_id", sa.BigInteger, sa.ForeignKey("tuning_jobs.id"), primary_key=True),
    sa.Column("series", sa.Text, primary_key=True),
    sa.Column("step", sa.BigInteger, primary_key=True),
    sa.Column("value", sa.Double, nullable=False),
    sa.Column("recorded", sa.BigInteger),
)

models = sa.Table(
    "models",
    metadata,
    sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("project", sa.Text, nullable=False),
    sa.Column("location", sa.Text, nullable=False),
    sa.Column("created", sa.BigInteger, nullable=False),
    sa.Column("job_id", sa.BigInteger, sa.ForeignKey("tuning_jobs.id"), nullable=False, unique=True),
    # One version of each model is the default: the one meant where none is named, and the one that lists show.
    sa.Column("is_default", sa.Boolean, nullable=False, server_default=sa.true()),
    # The highest number that a version of the model was ever given, the same in all versions that there are.
    sa.Column("highest_version", sa.Integer, nullable=False, server_default="1"),
    sa.Column("document", sa.JSON, nullable=False),
    *_for_filters(),
    sa.Index("models_listed", "project", "location", "created", "id"),
)

endpoints = sa.Table(
    "endpoints",
    metadata,
    sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("project", sa.Text, nullable=False),
    sa.Column("location", sa.Text, nullable=False),
    sa.Column("created", sa.BigInteger, nullable=False),
    # What is deployed: a checkpoint of a job. Both are null, and base_model is empty, where nothing is.
    sa.Column("job_id", sa.BigInteger, sa.ForeignKey("tuning_jobs.id")),
    sa.Column("checkpoint_id", sa.Text),
    sa.Column("document", sa.JSON, nullable=False),
    *_for_filters(),
    sa.Index("endpoints_listed", "project", "location", "created", "id"),
    sa.Index("endpoints_by_job", "job_id"),
)

operations = sa.Table(
    "operations",
    metadata,
    sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("project", sa.Text, nullable=False),
    sa.Column("location", sa.Text, nullable=False),
    sa.Column("created", sa.BigInteger, nullable=False),
    # What it was done to, such as ``models`` and its number.
    sa.Column("collection", sa.Text, nullable=False),
    sa.Column("resource_id", sa.BigInteger, nullable=False),
    sa.Column("document", sa.JSON, nullable=False),
    sa.Index("operations_listed", "project", "location", "created", "id"),
    sa.Index("operations_by_age", "created"),
)

tokens = sa.Table(
    "tokens",
    metadata,
    # The part of the token that is no secret.
    sa.Column("id", sa.Text, primary_key=True),
    # SHA-256 of the whole token, in hex. Tokens are long and random, so that a slow hash would protect nothing more.
    sa.Column("digest", sa.Text, nullable=False, unique=True),
    sa.Column("name", sa.Text, nullable=False),
    # {project: role}, where * stands for every project.
    sa.Column("grants", sa.JSON, nullable=False),
    sa.Column("created_by", sa.Text, nullable=False),
    sa.Column("created", sa.BigInteger, nullable=False),
    sa.Column("expires", sa.BigInteger),
    sa.Column("revoked", sa.BigInteger),
)

# Of browsers that have signed in.
sessions = sa.Table(
    "sessions",
    metadata,
    # SHA-256 of the id, which only the browser has.
    sa.Column("digest", sa.Text, primary_key=True),
    # What its owner is recalled by: the number of a token, or what an issuer's token said.
    sa.Column("proof", sa.JSON, nullable=False),
    sa.Column("used", sa.BigInteger, nullable=False),
    sa.Column("expires", sa.BigInteger, nullable=False),
)

# What was created by requests that named themselves, so that a repeated one finds it.
requests = sa.Table(
    "requests",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("location", sa.Text, primary_key=True),
    sa.Column("collection", sa.Text, primary_key=True),
    sa.Column("request_id", sa.Text, primary_key=True),
    # Of the body: the same name with another body is a mistake.
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("resource_id", sa.BigInteger, nullable=False),
    sa.Column("created", sa.BigInteger, nullable=False),
    sa.Index("requests_by_age", "created"),
)
