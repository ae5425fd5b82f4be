-- One row per user, with the attributes at the latest event, trailing blanks removed. Only users with events on the
-- days, now or before the reload, are rebuilt.
SELECT
    u.user_id,
    RTRIM(u.first_name, ' ') AS first_name,
    RTRIM(u.last_name, ' ') AS last_name,
    RTRIM(u.gender, ' ') AS gender,
    RTRIM(u.level, ' ') AS level
FROM (
    SELECT
        d.user_id,
        d.first_name,
        d.last_name,
        d.gender,
        d.level,
        -- A day has no events of other days, so the latest day has the latest event.
        ROW_NUMBER() OVER (
            PARTITION BY d.user_id
            ORDER BY d.log_date DESC
        ) AS recency
    FROM staging.user_days AS d
    INNER JOIN touched_users AS t ON d.user_id = t.user_id
) AS u
WHERE u.recency = 1
