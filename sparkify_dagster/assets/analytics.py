"""The analysts' questions, each a table of its own: an asset for each file in analytics/questions."""

from collections.abc import Iterator, Mapping, Sequence, Set

import dagster as dg
from sqlalchemy import Connection

from sparkify_dagster.analytics import answers
from sparkify_dagster.analytics.answers import Answer, AnswerRow
from sparkify_dagster.analytics.charts import Picture, draw
from sparkify_dagster.analytics.question import Question, all_questions, broken_questions
from sparkify_dagster.assets.loading import clear_failures
from sparkify_dagster.assets.results import Told
from sparkify_dagster.assets.shown_rows import rows_metadata
from sparkify_dagster.assets.table_metadata import definition_metadata
from sparkify_dagster.warehouse.base import Warehouse
from sparkify_dagster.wording import count

PREVIEW_ROWS = 10
_PREVIEW_CHARACTERS = 32


def _spec(question: Question) -> dg.AssetSpec:
    return dg.AssetSpec(
        question.name,
        deps=sorted(question.reads),
        group_name="analytics",
        kinds={"table", "sql"},
        owners=["team:analytics"],
        description=f"**{question.title}**\n\n{question.notes}\n\nAsked by: {question.asked_by}",
        metadata=definition_metadata(question.table),
    )


@dg.multi_asset(name="questions", specs=[_spec(question) for question in all_questions().values()], can_subset=True)
def questions(
    context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[Warehouse]
) -> Iterator[dg.MaterializeResult[None]]:
    """All in one step: what the star holds is looked through once, and only what changed is asked again."""
    selected = [all_questions()[key.path[-1]] for key in sorted(context.selected_asset_keys)]
    with clear_failures(), warehouse.open(f"questions of run {context.run.run_id}") as engine:
        # A file with a mistake in it is still a question, whose table keeps its answer.
        known = all_questions().keys() | broken_questions().keys()
        forgotten = warehouse.transact(engine, lambda connection: answers.drop_forgotten(connection, known))
        for name in forgotten:
            context.log.info(f"The table of {name} is dropped, since there is no such question any more.")
        answered, failed = answers.refresh(warehouse, engine, selected)
        told_before = {answer.question.name: _told_before(context, answer) for answer in answered}
        to_show = [answer.question for answer in answered if told_before[answer.question.name] is None]
        rows = warehouse.transact(
            engine, lambda connection: {question.name: _rows_to_show(connection, question) for question in to_show}
        )
    asked = sum(answer.asked for answer in answered)
    context.log.info(f"{count(asked, 'question')} asked again, {len(answered) - asked} unchanged.")
    for answer in answered:
        name = answer.question.name
        shown = told_before[name] or answer_metadata(answer.question, rows[name])
        yield dg.MaterializeResult(
            asset_key=name,
            metadata={
                **shown,
                "dagster/row_count": answer.rows,
                "warehouse": warehouse.database,
                "version": answer.version,
                "asked": "anew, since the star or the question had changed"
                if answer.asked
                else "not again: nothing had changed",
                "seconds": round(answer.seconds, 3),
            },
        )
    if failed:
        raise dg.Failure("; ".join(map(str, failed)), allow_retries=False)


def _told_before(context: dg.AssetExecutionContext, answer: Answer) -> Told | None:
    """What the page shows of an answer that stayed; None where it has to be made again."""
    if answer.asked:
        return None
    latest = context.instance.get_latest_materialization_event(dg.AssetKey(answer.question.name))
    materialization = latest.asset_materialization if latest else None
    if materialization is None:
        return None
    told: Told = materialization.metadata
    version, shown = materialization.metadata.get("version"), materialization.metadata.get("preview")
    if version is None or version.value != answer.version:
        return None
    if isinstance(shown, dg.TableMetadataValue) and shown.schema is not None:
        # Earlier versions showed names.
        names = {column.name for column in shown.schema.columns}
        return told if names <= _shown_columns(answer.question) else None
    return told


def _shown_columns(question: Question) -> Set[str]:
    return frozenset(question.columns).difference(question.personal_columns)


def _rows_to_show(connection: Connection, question: Question) -> Sequence[AnswerRow]:
    return answers.kept_answer(connection, question, None if question.picture else PREVIEW_ROWS)


def answer_metadata(question: Question, rows: Sequence[AnswerRow]) -> Told:
    """The picture and the first rows, without personal columns."""
    if not rows:
        return {}
    columns = _shown_columns(question)
    records = [{name: value for name, value in row._mapping.items() if name in columns} for row in rows]
    shown: dict[str, dg.MetadataValue] = {"preview": rows_metadata(records[:PREVIEW_ROWS], _PREVIEW_CHARACTERS)}
    if question.picture:
        shown["picture"] = dg.MetadataValue.md(_picture(question, question.picture, records))
    return shown


def _picture(question: Question, picture: Picture, records: Sequence[Mapping[str, object]]) -> str:
    personal = [name for name in (*picture.values, *picture.by) if name in question.personal_columns]
    if personal:
        return (
            f"Not drawn, since it would show listeners' {', '.join(personal)}. A column that only groups people is "
            f"drawn where the header declares it: `-- Groups people: {', '.join(personal)}`"
        )
    return f"![{question.title}]({draw(picture, question.title, records)})"
