-- One row per user, day and change of level within the day; the first level of a day counts as a change.
SELECT
    c.user_id,
    c.log_date,
    c.ts,
    c.session_id,
    c.item_in_session,
    c.level,
    c.page
FROM (
    SELECT
        e.user_id,
        e.log_date,
        e.ts,
        e.session_id,
        e.item_in_session,
        RTRIM(e.level, ' ') AS level,
        RTRIM(e.page, ' ') AS page,
        -- Warehouses sort NULL differently; here it is the lowest value.
        LAG(RTRIM(e.level, ' ')) OVER (
            PARTITION BY e.user_id, e.log_date
            ORDER BY
                e.ts,
                CASE WHEN e.session_id IS NULL THEN 0 ELSE 1 END,
                e.session_id,
                CASE WHEN e.item_in_session IS NULL THEN 0 ELSE 1 END,
                e.item_in_session
        ) AS previous_level
    FROM staging.staging_events AS e
    WHERE
        e.user_id IS NOT NULL
        AND e.level IS NOT NULL
        AND e.log_date BETWEEN :first_day AND :last_day
) AS c
WHERE
    c.previous_level IS NULL
    OR c.level <> c.previous_level
