"""Asks questions of the star, and keeps the answers as tables, made anew only when the star or the question changed."""

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from time import perf_counter
from typing import Any, NamedTuple, TypeAlias

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    FromClause,
    Row,
    Select,
    String,
    cast,
    column,
    delete,
    insert,
    select,
    text,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateTable, DropTable

from sparkify_dagster.analytics.question import Question
from sparkify_dagster.warehouse.base import Warehouse, WarehouseError, columns_in, count_rows, first_line, utc_now
from sparkify_dagster.warehouse.tables import ANALYTICS_SCHEMA, STAR_TABLES, answered_questions
from sparkify_dagster.warehouse.transforms import day_bounds

AnswerRow: TypeAlias = Row[*tuple[Any, ...]]

_ALL_DAYS = (date(1, 1, 1), date(9999, 12, 30))


@dataclass(frozen=True)
class Answer:
    """The answer that the warehouse keeps of a question, over all days."""

    question: Question
    version: str
    """What was asked of which content of the star: the same version is the same answer."""
    asked: bool
    """Whether the question was asked now. Where nothing had changed, the answer stayed."""
    rows: int
    seconds: float


class QuestionFailed(WarehouseError):
    """The warehouse could not answer a question."""


def ask(
    warehouse: Warehouse,
    connection: Connection,
    question: Question,
    first_day: date | None = None,
    last_day: date | None = None,
) -> Sequence[AnswerRow]:
    """The answer from the star as it is now, of some days (both included) or all. Raises QuestionFailed."""
    with _naming(question, warehouse):
        return connection.execute(_typed_select(question), _period(first_day, last_day)).all()


def kept_answer(connection: Connection, question: Question, most_rows: int | None = None) -> Sequence[AnswerRow]:
    """The first rows of the table in the question's order; of a question without one in the order of its columns."""
    order = _order(question, question.table) or question.table.columns
    return connection.execute(select(question.table).order_by(*order).limit(most_rows)).all()


def refresh(
    warehouse: Warehouse, engine: Engine, questions: Sequence[Question]
) -> tuple[Sequence[Answer], Sequence[QuestionFailed]]:
    """Brings the questions' tables up to the star. What cannot be answered keeps its old answer, and is told."""
    try:
        # The star is looked through only once.
        return warehouse.transact(engine, lambda connection: _refresh(warehouse, connection, questions)), []
    except QuestionFailed as error:
        if len(questions) == 1:
            return [], [error]
    # A transaction ends with its first error, so those that can be answered get one of their own.
    alone = [refresh(warehouse, engine, [question]) for question in questions]
    return [answer for answers, _ in alone for answer in answers], [error for _, errors in alone for error in errors]


def drop_forgotten(connection: Connection, known: Collection[str]) -> Sequence[str]:
    """Drops the tables of questions whose file is gone, since their answers would only grow old; tells their names."""
    forgotten = sorted(_kept_versions(connection).keys() - set(known))
    for name in forgotten:
        connection.execute(text(f"DROP TABLE IF EXISTS {ANALYTICS_SCHEMA}.{name}"))
        connection.execute(delete(answered_questions).where(answered_questions.c.question == name))
    return forgotten


class _Kept(NamedTuple):
    definition: str
    version: str


def _refresh(warehouse: Warehouse, connection: Connection, questions: Sequence[Question]) -> Sequence[Answer]:
    reads = frozenset().union(*(question.reads for question in questions))
    star = {table.name: warehouse.fingerprint(connection, table) for table in STAR_TABLES if table.name in reads}
    existing = columns_in(connection, ANALYTICS_SCHEMA)
    kept = {name: of for name, of in _kept_versions(connection).items() if name in existing}
    return [_refresh_one(warehouse, connection, question, star, kept.get(question.name)) for question in questions]


def _refresh_one(
    warehouse: Warehouse, connection: Connection, question: Question, star: Mapping[str, str], kept: _Kept | None
) -> Answer:
    started = perf_counter()
    definition = _digest(str(CreateTable(question.table).compile(dialect=connection.dialect)))
    version = _digest(definition, question.select, *(star[table] for table in sorted(question.reads)))
    asked = kept is None or kept.version != version
    with _naming(question, warehouse):
        if asked:
            if kept is None or kept.definition != definition:
                connection.execute(DropTable(question.table, if_exists=True))
                question.table.create(connection, checkfirst=False)
            else:
                connection.execute(delete(question.table))
            names = question.columns
            connection.execute(insert(question.table).from_select(names, _typed_select(question)), _period())
            _record(connection, question, _Kept(definition, version))
        rows = count_rows(connection, question.table)
    return Answer(question, version, asked, rows, perf_counter() - started)


def _typed_select(question: Question) -> Select[*tuple[Any, ...]]:
    """The question's SELECT as it is written, its columns of the types that the header names, in its order."""
    answer = text(question.select).columns(*(column(name) for name in question.columns)).subquery("answer")
    columns = {
        kept.name: answer.c[kept.name]
        # Texts keep the order of the column that they come from, which a CAST would lose.
        if isinstance(kept.type, String)
        else cast(answer.c[kept.name], kept.type).label(kept.name)
        for kept in question.table.columns
    }
    return select(*columns.values()).order_by(*_order(question, answer))


def _order(question: Question, rows: FromClause) -> list[ColumnElement[Any]]:
    return [rows.c[name].desc() if descending else rows.c[name] for name, descending in question.order]


def _period(first_day: date | None = None, last_day: date | None = None) -> Mapping[str, datetime]:
    start, end = day_bounds(first_day or _ALL_DAYS[0], last_day or _ALL_DAYS[1])
    return {"first_day": start, "end_day": end}


def _kept_versions(connection: Connection) -> Mapping[str, _Kept]:
    kept = answered_questions.c
    rows = connection.execute(select(kept.question, kept.definition, kept.version)).all()
    return {name: _Kept(definition, version) for name, definition, version in rows}


def _record(connection: Connection, question: Question, kept: _Kept) -> None:
    connection.execute(delete(answered_questions).where(answered_questions.c.question == question.name))
    row = {"question": question.name, "answered_at": utc_now(), **kept._asdict()}
    connection.execute(insert(answered_questions), row)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


@contextmanager
def _naming(question: Question, warehouse: Warehouse) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        # What may succeed when it is done again is for the transaction to repeat.
        if warehouse.is_transient(error):
            raise
        raise QuestionFailed(f"the question {question.name} ({question.path.name}): {first_line(error)}") from None
