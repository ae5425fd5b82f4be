-- One row per period in which a user had a level. Only users with a level on the days, now or before the reload, are
-- rebuilt.
SELECT
    c.user_id,
    ROW_NUMBER() OVER (
        PARTITION BY c.user_id
        ORDER BY c.position
    ) AS version,
    c.ts AS valid_from,
    LEAD(c.ts) OVER (
        PARTITION BY c.user_id
        ORDER BY c.position
    ) AS valid_to,
    c.level,
    c.page
FROM (
    SELECT
        n.user_id,
        n.position,
        n.ts,
        n.level,
        n.page,
        LAG(n.level) OVER (
            PARTITION BY n.user_id
            ORDER BY n.position
        ) AS previous_level
    FROM (
        SELECT
            d.user_id,
            d.ts,
            d.level,
            d.page,
            -- Warehouses sort NULL differently; here it is the lowest value.
            ROW_NUMBER() OVER (
                PARTITION BY d.user_id
                ORDER BY
                    d.ts,
                    CASE WHEN d.session_id IS NULL THEN 0 ELSE 1 END,
                    d.session_id,
                    CASE WHEN d.item_in_session IS NULL THEN 0 ELSE 1 END,
                    d.item_in_session
            ) AS position
        FROM staging.level_days AS d
        INNER JOIN touched_users AS t ON d.user_id = t.user_id
    ) AS n
) AS c
-- A day begins with the level that the day before ended with, unless it changed in between.
WHERE
    c.previous_level IS NULL
    OR c.level <> c.previous_level
