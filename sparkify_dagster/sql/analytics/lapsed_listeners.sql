-- Which listeners have stopped listening?
--
-- Asked by: Marketing, to win them back.
-- A listener has lapsed without a play on the last 14 days of the period, which ends with the last day that has events.
-- Those who played most come first. Days are UTC.
--
-- Columns:
--   user_id     BIGINT         Listener
--   first_name  VARCHAR(1024)  First name
--   last_name   VARCHAR(1024)  Last name
--   level       VARCHAR(64)    free or paid, at the listener's latest event
--   last_day    DATE           Day of the last play
--   days_since  INTEGER        Days from then to the last day of the period
--   plays       BIGINT         Songs played in the period
WITH activity AS (
    SELECT
        a.user_id,
        a.day,
        a.plays
    FROM product.daily_activity AS a
    WHERE a.day >= :first_day AND a.day < :end_day
),

ends AS (
    SELECT MAX(a.day) AS period_end
    FROM activity AS a
),

listeners AS (
    SELECT
        a.user_id,
        MAX(a.day) AS last_day,
        SUM(a.plays) AS plays
    FROM activity AS a
    WHERE a.plays > 0
    GROUP BY a.user_id
)

SELECT
    l.user_id,
    u.first_name,
    u.last_name,
    u.level,
    l.last_day,
    e.period_end - l.last_day AS days_since,
    l.plays
FROM listeners AS l
INNER JOIN ends AS e ON l.last_day <= e.period_end - 14
INNER JOIN users AS u ON l.user_id = u.user_id
ORDER BY l.plays DESC, l.user_id ASC
LIMIT 20
