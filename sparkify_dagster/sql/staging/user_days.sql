-- One row per user and day, with the user's attributes at the latest event of the day.
SELECT
    d.user_id,
    d.log_date,
    d.first_name,
    d.last_name,
    d.gender,
    d.level,
    d.ts,
    d.session_id,
    d.item_in_session
FROM (
    SELECT
        e.user_id,
        e.log_date,
        e.first_name,
        e.last_name,
        e.gender,
        e.level,
        e.ts,
        e.session_id,
        e.item_in_session,
        -- Warehouses sort NULL differently; here it is the lowest value.
        ROW_NUMBER() OVER (
            PARTITION BY e.user_id, e.log_date
            ORDER BY
                e.ts DESC,
                CASE WHEN e.session_id IS NULL THEN 0 ELSE 1 END DESC,
                e.session_id DESC,
                CASE WHEN e.item_in_session IS NULL THEN 0 ELSE 1 END DESC,
                e.item_in_session DESC
        ) AS recency
    FROM staging.staging_events AS e
    WHERE
        e.user_id IS NOT NULL
        AND e.log_date BETWEEN :first_day AND :last_day
) AS d
WHERE d.recency = 1
