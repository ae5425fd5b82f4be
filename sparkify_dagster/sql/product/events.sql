-- One row per event, of every page, trailing blanks removed. The id of a play is that of its songplay.
SELECT
    MD5(
        COALESCE(CAST(e.user_id AS VARCHAR), '') || '|' || COALESCE(CAST(e.session_id AS VARCHAR), '')
        || '|' || COALESCE(CAST(e.item_in_session AS VARCHAR), '') || '|' || CAST(e.epoch_ms AS VARCHAR)
    ) AS event_id,
    e.ts,
    e.user_id,
    e.session_id,
    e.item_in_session,
    RTRIM(e.page, ' ') AS page,
    RTRIM(e.auth, ' ') AS auth,
    RTRIM(e.method, ' ') AS method,
    e.status,
    RTRIM(e.level, ' ') AS level
FROM staging.staging_events AS e
WHERE e.log_date BETWEEN :first_day AND :last_day
