-- Who upgraded or downgraded, and when?
--
-- Asked by: Finance, for reconciliation with the payments.
-- A change is dated by the listener's first play at the new level; plays before the period are not considered.
--
-- Columns:
--   changed_at  TIMESTAMP      Start of the first play at the new level, UTC
--   user_id     BIGINT         Listener
--   first_name  VARCHAR(1024)  Listener's first name
--   last_name   VARCHAR(1024)  Listener's last name
--   old_level   VARCHAR(64)    free or paid
--   new_level   VARCHAR(64)    free or paid
WITH plays AS (
    SELECT
        p.user_id,
        p.start_time,
        p.level,
        LAG(p.level) OVER (PARTITION BY p.user_id ORDER BY p.start_time, p.songplay_id) AS level_before
    FROM songplays AS p
    WHERE p.start_time >= :first_day AND p.start_time < :end_day
)

SELECT
    p.start_time AS changed_at,
    p.user_id,
    u.first_name,
    u.last_name,
    p.level_before AS old_level,
    p.level AS new_level
FROM plays AS p
INNER JOIN users AS u ON p.user_id = u.user_id
WHERE p.level <> p.level_before
ORDER BY changed_at, p.user_id
