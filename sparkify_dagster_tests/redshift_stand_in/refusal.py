"""The limits of the stand-in, and the error by which it refuses what lies beyond them."""

# What the stand-in assumes without a page of AWS's that says so, or leaves out. Nothing should rest on these.
UNVERIFIED = (
    "A fraction of zeros (1541016707796.0) is taken for TIMESTAMP with epochmillisecs (knob: epoch_fractions) and for"
    " integers (seen with BIGINT in public code); 1.5 and exponents are refused for integers.",
    "'' becomes NULL for DATE, TIMESTAMP and BOOLEAN, as documented for numbers.",
    "true and false load into VARCHAR as these words, and are refused for numbers; objects and arrays load as compact"
    " JSON text.",
    "Of a key that an object holds twice, the last one counts.",
    "Text that is not JSON is error 1216, once per line; the next line is read again.",
    "The wording of most errors, and the SQLSTATEs of refused statements (0A000, 42601).",
    "SYS_LOAD_DETAIL lists an object at once (knob: lists_loaded_files), once, with the lines of its text and its ETag"
    " as S3 gives it, in quotes. System views show what is outside of the transaction's snapshot.",
    "COPY's command tag carries no number of rows.",
    "After TRUNCATE inside a transaction the session is outside of one.",
    "A transaction sees a snapshot (PostgreSQL's REPEATABLE READ); table locks between writers, errors 1018 and 1023"
    " and SERIALIZABLE are not imitated.",
    "Privileges are PostgreSQL's: LOCK takes UPDATE or DELETE on the table, to grant what one may not is an error, and"
    " CREATE on the schema public is nobody's by default, which on Redshift is everybody's.",
    "Arrays are let through in queries of pg_catalog alone, which run on the leader node: SQLAlchemy 2.1's create_all"
    " asks for relkind = ANY (ARRAY[...]).",
    "A backslash in a plain string escapes; standard_conforming_strings is not reported, or is said to be on"
    " (knobs: has_escapes, claims_conforming_strings).",
    "Blanks at the end count where both sides of a comparison are what functions return, and in MIN and MAX.",
    "Not imitated: CAST to VARCHAR(n) that cuts, primary and foreign keys in"
    " reflection, QUALIFY, UNLOAD, REGION (any value reads the one endpoint), the 4 MB of a row (only of an object),"
    " late binding of views, DATEDIFF, DATEADD of other parts than seconds and milliseconds.",
)


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


class Refusal(Exception):
    """Redshift, or the stand-in, refuses a statement."""

    def __init__(self, message: str, sqlstate: str = "0A000") -> None:
        super().__init__(message)
        self.message = message
        self.sqlstate = sqlstate


class NotImitated(Refusal):
    """Redshift may well accept it; the stand-in does not know how."""

    def __init__(self, message: str) -> None:
        super().__init__(f"the stand-in does not imitate {message}")
