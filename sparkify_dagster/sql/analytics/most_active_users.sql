-- Who listens most?
--
-- Asked by: Marketing, to invite them to try new features.
--
-- Columns:
--   user_id     BIGINT         Listener
--   first_name  VARCHAR(1024)  First name
--   last_name   VARCHAR(1024)  Last name
--   level       VARCHAR(64)    free or paid, at the listener's latest event
--   plays       BIGINT         Songs played
--   sessions    BIGINT         Sessions with a play
--   days        BIGINT         Days with a play, UTC
--   hours       DECIMAL(12,2)  Length of the songs played, in hours
--
-- Chart: bar of plays by user_id
SELECT
    u.user_id,
    u.first_name,
    u.last_name,
    u.level,
    COUNT(*) AS plays,
    COUNT(DISTINCT p.session_id) AS sessions,
    COUNT(DISTINCT CAST(p.start_time AS DATE)) AS days,
    CAST(SUM(p.length) AS DOUBLE PRECISION) / 3600 AS hours
FROM songplays AS p
INNER JOIN users AS u ON p.user_id = u.user_id
WHERE p.start_time >= :first_day AND p.start_time < :end_day
GROUP BY u.user_id, u.first_name, u.last_name, u.level
ORDER BY plays DESC, u.user_id ASC
LIMIT 20
