-- Who listens most?
--
-- Asked by: Marketing, to invite them to try new features.
-- A session counts in the period in which it starts.
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
WITH listeners AS (
    SELECT
        a.user_id,
        SUM(a.plays) AS plays,
        COUNT(*) AS days,
        SUM(a.seconds_played) AS seconds
    FROM product.daily_activity AS a
    WHERE
        a.plays > 0
        AND a.day >= :first_day AND a.day < :end_day
    GROUP BY a.user_id
),

sessions_of_users AS (
    SELECT
        s.user_id,
        COUNT(*) AS sessions
    FROM product.sessions AS s
    WHERE
        s.plays > 0
        AND s.started_at >= :first_day AND s.started_at < :end_day
    GROUP BY s.user_id
)

SELECT
    l.user_id,
    u.first_name,
    u.last_name,
    u.level,
    l.plays,
    COALESCE(s.sessions, 0) AS sessions,
    l.days,
    CAST(l.seconds AS DOUBLE PRECISION) / 3600 AS hours
FROM listeners AS l
INNER JOIN users AS u ON l.user_id = u.user_id
LEFT JOIN sessions_of_users AS s ON l.user_id = s.user_id
ORDER BY l.plays DESC, l.user_id ASC
LIMIT 20
