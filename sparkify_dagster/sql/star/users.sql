-- One row per user, as of the latest event, without blanks at the end of texts. Only users whom the days touch, now or
-- before, are built again.
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
        -- A day's events are all of that day, so the latest day holds the latest event.
        ROW_NUMBER() OVER (
            PARTITION BY d.user_id
            ORDER BY d.log_date DESC
        ) AS recency
    FROM staging.user_days AS d
    INNER JOIN touched_users AS t ON d.user_id = t.user_id
) AS u
WHERE u.recency = 1
