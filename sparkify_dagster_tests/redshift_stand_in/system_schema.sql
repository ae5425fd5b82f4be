-- Redshift's own objects, for the back end's database. The schema is last in every session's search path.
CREATE SCHEMA redshift_system;
SET search_path = redshift_system;

-- sqlalchemy-redshift and psycopg2 take the version from this text.
CREATE FUNCTION version() RETURNS text LANGUAGE sql STABLE AS $$
    SELECT 'PostgreSQL 8.0.2 on i686-pc-linux-gnu, compiled by GCC gcc (GCC) 3.4.2 20041017 (Red Hat 3.4.2-6.fc3), '
        'Redshift 1.0.68555'
$$;

-- r_SYSDATE: the transaction's start, in the session's time zone. r_GETDATE: the statement's, without fractions.
CREATE FUNCTION sysdate() RETURNS timestamp LANGUAGE sql STABLE AS $$ SELECT transaction_timestamp()::timestamp $$;
CREATE FUNCTION getdate() RETURNS timestamp LANGUAGE sql STABLE AS $$
    SELECT date_trunc('second', statement_timestamp()::timestamp)
$$;
-- r_DATEADD_function: an INTEGER of them. r_Dateparts_for_datetime_functions has their names.
CREATE FUNCTION dateadd(part text, amount integer, value timestamp) RETURNS timestamp LANGUAGE sql IMMUTABLE AS $$
    SELECT value + amount * CASE
        WHEN lower(part) IN ('millisecond', 'milliseconds', 'ms', 'msec', 'msecs') THEN interval '1 millisecond'
        WHEN lower(part) IN ('second', 'seconds', 's', 'sec', 'secs') THEN interval '1 second'
    END
$$;
-- r_STRTOL: a BIGINT of the digits; here of base 16 alone.
CREATE FUNCTION strtol(digits text, base integer) RETURNS bigint LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
    IF base <> 16 OR digits !~ '^[0-9a-f]{1,15}$' THEN
        RAISE 'The stand-in knows STRTOL of 1 to 15 digits of base 16 alone, not of % and %', digits, base;
    END IF;
    RETURN ('x' || lpad(digits, 16, '0'))::bit(64)::bigint;
END
$$;
CREATE FUNCTION len(value text) RETURNS integer LANGUAGE sql IMMUTABLE AS $$ SELECT char_length(value) $$;

-- r_Character_types: blanks at the end of a VARCHAR do not count in comparisons, GROUP BY, DISTINCT and joins, though
-- they are kept. So do those of PostgreSQL's CHAR, whose functions serve here. What a function returns is a TEXT, of which
-- they count where both sides are one.
CREATE FUNCTION padded_order(varchar, varchar) RETURNS integer LANGUAGE internal IMMUTABLE STRICT AS 'bpcharcmp';
CREATE FUNCTION padded_order(varchar, text) RETURNS integer LANGUAGE internal IMMUTABLE STRICT AS 'bpcharcmp';
CREATE FUNCTION padded_order(text, varchar) RETURNS integer LANGUAGE internal IMMUTABLE STRICT AS 'bpcharcmp';
CREATE FUNCTION padded_order(text, text) RETURNS integer LANGUAGE internal IMMUTABLE STRICT AS 'bpcharcmp';
CREATE FUNCTION padded_hash(varchar) RETURNS integer LANGUAGE internal IMMUTABLE STRICT AS 'hashbpchar';
CREATE FUNCTION padded_hash(text) RETURNS integer LANGUAGE internal IMMUTABLE STRICT AS 'hashbpchar';

DO $$
DECLARE
    types record;
    compared record;
BEGIN
    CREATE OPERATOR FAMILY padded USING btree;
    CREATE OPERATOR FAMILY padded USING hash;
    FOR types IN
        SELECT * FROM (VALUES ('varchar', 'varchar'), ('varchar', 'text'), ('text', 'varchar')) AS t (l, r)
    LOOP
        FOR compared IN
            SELECT * FROM (
                VALUES
                ('<', 'lt', '>', '>='),
                ('<=', 'le', '>=', '>'),
                ('=', 'eq', '=', '<>'),
                ('>=', 'ge', '<=', '<'),
                ('>', 'gt', '<', '<='),
                ('<>', 'ne', '<>', '=')
            ) AS o (sign, name, commutator, negator)
        LOOP
            EXECUTE format(
                'CREATE FUNCTION padded_%2$s(%5$s, %6$s) RETURNS boolean LANGUAGE internal IMMUTABLE STRICT'
                ' AS ''bpchar%2$s'';'
                ' CREATE OPERATOR %1$s (LEFTARG = %5$s, RIGHTARG = %6$s, FUNCTION = padded_%2$s,'
                ' COMMUTATOR = %3$s, NEGATOR = %4$s %7$s)',
                compared.sign, compared.name, compared.commutator, compared.negator, types.l, types.r,
                CASE compared.sign WHEN '=' THEN ', HASHES, MERGES' ELSE '' END
            );
        END LOOP;
    END LOOP;
    CREATE OPERATOR CLASS padded DEFAULT FOR TYPE varchar USING btree FAMILY padded AS
    OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 padded_order(varchar, varchar);
    CREATE OPERATOR CLASS padded DEFAULT FOR TYPE varchar USING hash FAMILY padded AS
    OPERATOR 1 =, FUNCTION 1 padded_hash(varchar);
END
$$;
ALTER OPERATOR FAMILY padded USING hash ADD
OPERATOR 1 = (varchar, text), OPERATOR 1 = (text, varchar), FUNCTION 1 (text, text) padded_hash(text);
ALTER OPERATOR FAMILY padded USING btree ADD
OPERATOR 1 < (varchar, text), OPERATOR 2 <= (varchar, text), OPERATOR 3 = (varchar, text),
OPERATOR 4 >= (varchar, text), OPERATOR 5 > (varchar, text), FUNCTION 1 (varchar, text) padded_order(varchar, text),
OPERATOR 1 < (text, varchar), OPERATOR 2 <= (text, varchar), OPERATOR 3 = (text, varchar),
OPERATOR 4 >= (text, varchar), OPERATOR 5 > (text, varchar), FUNCTION 1 (text, varchar) padded_order(text, varchar);

-- CAN_JSON_PARSE: not of an empty text.
CREATE FUNCTION can_json_parse(value text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ SELECT value IS JSON $$;

-- t_Defining_constraints: keys are declared and not enforced, and the planner takes them for true.
CREATE TABLE declared_keys (relation oid NOT NULL, column_name text NOT NULL, is_whole boolean NOT NULL);

-- information_schema.table_constraints, of the keys only.
CREATE VIEW table_constraints AS
SELECT DISTINCT
    n.nspname::text AS table_schema,
    c.relname::text AS table_name,
    c.relname || '_pkey' AS constraint_name,
    'PRIMARY KEY' AS constraint_type
FROM declared_keys AS k
INNER JOIN pg_catalog.pg_class AS c ON k.relation = c.oid
INNER JOIN pg_catalog.pg_namespace AS n ON c.relnamespace = n.oid;

-- r_enable_numeric_rounding: off unless it is set.
CREATE FUNCTION cut(value numeric, digits integer) RETURNS numeric LANGUAGE sql STABLE AS $$
    SELECT CASE
        WHEN lower(coalesce(current_setting('standin.enable_numeric_rounding', true), '')) IN ('on', 'true') THEN value
        ELSE trunc(value, digits)
    END
$$;

-- PG_LAST_COPY_ID: of this session; a rollback takes it back, as it does a setting.
CREATE FUNCTION pg_last_copy_id() RETURNS integer LANGUAGE sql STABLE AS $$
    SELECT coalesce(nullif(current_setting('standin.last_copy_id', true), ''), '-1')::integer
$$;
CREATE FUNCTION pg_last_copy_count() RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT coalesce(nullif(current_setting('standin.last_copy_count', true), ''), '0')::bigint
$$;

-- Rejected records; texts are CHAR, padded with blanks.
CREATE TABLE load_errors (
    user_id integer NOT NULL DEFAULT 100,
    query_id bigint NOT NULL,
    transaction_id bigint NOT NULL DEFAULT 0,
    session_id integer NOT NULL,
    database_name char(64) NOT NULL,
    table_id integer NOT NULL,
    start_time timestamp NOT NULL DEFAULT (clock_timestamp() AT TIME ZONE 'UTC'),
    file_name char(256) NOT NULL,
    line_number bigint NOT NULL,
    column_name char(127),
    column_type char(10),
    column_length char(10),
    "position" integer NOT NULL DEFAULT 0,
    error_code integer NOT NULL,
    error_message char(512) NOT NULL,
    raw_line char(1024),
    raw_field_value char(1024)
);

-- SYS_LOAD_ERROR_DETAIL, which does not show the values.
CREATE VIEW sys_load_error_detail AS
SELECT
    user_id,
    query_id,
    transaction_id,
    session_id,
    database_name,
    table_id,
    start_time,
    file_name,
    line_number,
    column_name,
    column_type,
    column_length,
    "position",
    error_code,
    error_message
FROM load_errors;

-- STL_LOAD_ERRORS
CREATE VIEW stl_load_errors AS
SELECT
    user_id AS userid,
    0 AS slice,
    table_id AS tbl,
    start_time AS starttime,
    session_id AS session,
    query_id::integer AS query,
    file_name AS filename,
    line_number,
    column_name AS colname,
    column_type AS type,
    column_length AS col_length,
    "position",
    raw_line,
    raw_field_value,
    error_code AS err_code,
    left(error_message, 100)::char(100) AS err_reason
FROM load_errors;

-- SYS_LOAD_DETAIL: a row per object, with the lines of rejected records
CREATE TABLE sys_load_detail (
    user_id integer NOT NULL DEFAULT 100,
    query_id integer NOT NULL,
    file_name char(256) NOT NULL,
    bytes_scanned integer NOT NULL,
    lines_scanned integer NOT NULL,
    record_time timestamp NOT NULL DEFAULT (clock_timestamp() AT TIME ZONE 'UTC'),
    splits_scanned integer NOT NULL DEFAULT 0,
    start_time timestamp,
    end_time timestamp,
    file_etag char(256) NOT NULL,
    file_last_modified timestamp
);

-- SYS_LOAD_HISTORY
CREATE TABLE sys_load_history (
    user_id integer NOT NULL DEFAULT 100,
    query_id bigint NOT NULL,
    status text NOT NULL,
    session_id integer NOT NULL,
    transaction_id bigint NOT NULL DEFAULT 0,
    database_name text NOT NULL,
    table_name text NOT NULL,
    start_time timestamp NOT NULL,
    end_time timestamp NOT NULL DEFAULT (clock_timestamp() AT TIME ZONE 'UTC'),
    duration bigint NOT NULL DEFAULT 0,
    data_source text NOT NULL,
    file_format text NOT NULL DEFAULT 'json',
    loaded_rows bigint NOT NULL,
    loaded_bytes bigint NOT NULL DEFAULT 0,
    source_file_count integer NOT NULL,
    source_file_bytes bigint NOT NULL,
    file_count_scanned integer NOT NULL,
    file_bytes_scanned bigint NOT NULL,
    error_count bigint NOT NULL
);

CREATE FUNCTION rows_of(relation oid) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
DECLARE found bigint;
BEGIN
    EXECUTE format('SELECT count(*) FROM %s', relation::regclass) INTO found;
    RETURN found;
END
$$;

-- Percentage of unsorted rows, as set by a test.
CREATE TABLE unsorted_tables (name text NOT NULL, unsorted numeric(5, 2) NOT NULL);

-- SVV_TABLE_INFO shows no empty table.
CREATE VIEW svv_table_info AS
SELECT * FROM (
    SELECT
        current_database()::text AS "database",
        n.nspname::text AS schema,
        c.oid::integer AS table_id,
        c.relname::text AS "table",
        'N' AS encoded,
        'AUTO(ALL)' AS diststyle,
        'AUTO(SORTKEY)' AS sortkey1,
        1::bigint AS size,
        redshift_system.rows_of(c.oid)::numeric(38, 0) AS tbl_rows,
        coalesce(
            (SELECT u.unsorted FROM redshift_system.unsorted_tables AS u WHERE u.name = c.relname), 0
        )::numeric(5, 2) AS unsorted,
        0::numeric(5, 2) AS stats_off,
        0::numeric(12, 2) AS vacuum_sort_benefit
    FROM pg_catalog.pg_class AS c
    INNER JOIN pg_catalog.pg_namespace AS n ON c.relnamespace = n.oid
    WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'redshift_system')
) AS t
WHERE tbl_rows > 0;

-- SVV_ROLES: superusers see all of them, others those that they were granted. Users are no roles.
CREATE VIEW svv_roles AS
SELECT oid::integer AS role_id, rolname::text AS role_name, 'admin' AS role_owner, NULL::text AS external_id
FROM pg_catalog.pg_roles WHERE NOT rolcanlogin AND rolname !~ '^pg_' AND pg_has_role(current_user, oid, 'MEMBER');

-- c_serial_isolation
CREATE VIEW stv_db_isolation_level AS
SELECT oid::integer AS db_id, datname::text AS db_name, 'Snapshot Isolation'::char(20) AS isolation_level
FROM pg_catalog.pg_database;

-- r_Character_types: VARCHAR(n) holds n bytes. For CREATE TABLE, also AS and LIKE, and for ADD COLUMN.
CREATE FUNCTION limit_bytes() RETURNS event_trigger LANGUAGE plpgsql AS $$
DECLARE found record;
BEGIN
    FOR found IN
        SELECT
            a.attrelid::regclass AS relation,
            string_agg(
                format(
                    'ADD CONSTRAINT bytes_%s_%s CHECK (octet_length(%I) <= %s)',
                    a.attnum, a.atttypmod - 4, a.attname, a.atttypmod - 4
                ),
                ', '
            ) AS limits
        FROM (SELECT DISTINCT objid FROM pg_event_trigger_ddl_commands()) AS d
        INNER JOIN pg_catalog.pg_attribute AS a ON d.objid = a.attrelid
        INNER JOIN pg_catalog.pg_class AS c ON a.attrelid = c.oid
        WHERE
            c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
            AND a.atttypid = 'varchar'::regtype AND a.atttypmod > 4
            AND NOT EXISTS (
                SELECT FROM pg_catalog.pg_constraint AS k
                WHERE k.conrelid = a.attrelid AND k.conname = format('bytes_%s_%s', a.attnum, a.atttypmod - 4)
            )
        GROUP BY a.attrelid
    LOOP
        -- One statement a table: it fires this trigger again, which must find no limit missing.
        EXECUTE format('ALTER TABLE %s %s', found.relation, found.limits);
    END LOOP;
END
$$;
CREATE EVENT TRIGGER limit_bytes ON ddl_command_end
WHEN TAG IN ('CREATE TABLE', 'CREATE TABLE AS', 'ALTER TABLE') EXECUTE FUNCTION redshift_system.limit_bytes();

-- r_CREATE_VIEW: OR REPLACE takes a query with the identical columns alone; PostgreSQL lets some be appended.
CREATE TABLE view_columns (relation oid NOT NULL, columns integer NOT NULL);

CREATE FUNCTION keep_view_columns() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    made oid;
    found integer;
    before integer;
BEGIN
    FOR made IN SELECT DISTINCT objid FROM pg_event_trigger_ddl_commands() LOOP
        SELECT count(*) INTO found FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = made AND a.attnum > 0;
        SELECT v.columns INTO before FROM redshift_system.view_columns AS v WHERE v.relation = made;
        IF before IS NULL THEN
            INSERT INTO redshift_system.view_columns VALUES (made, found);
        ELSIF before <> found THEN
            RAISE 'cannot change number of columns in view' USING ERRCODE = 'invalid_table_definition';
        END IF;
    END LOOP;
END
$$;
CREATE EVENT TRIGGER keep_view_columns ON ddl_command_end
WHEN TAG IN ('CREATE VIEW') EXECUTE FUNCTION redshift_system.keep_view_columns();

-- SVV_TABLE_INFO is for superusers.
GRANT USAGE ON SCHEMA redshift_system TO PUBLIC;
GRANT SELECT ON ALL TABLES IN SCHEMA redshift_system TO PUBLIC;
REVOKE SELECT ON svv_table_info FROM PUBLIC;
GRANT INSERT, DELETE ON declared_keys TO PUBLIC;
