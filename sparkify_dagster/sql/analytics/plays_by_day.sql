-- How many songs are played per day?
--
-- Asked by: Management, every Monday.
-- Days are UTC. A day without a play has no row, but counts as 0 in the average. The average starts with the first day
-- that has a play, so on the first six days it covers fewer than seven.
--
-- Columns:
--   day           DATE           Day
--   plays         BIGINT         Plays that started on the day
--   listeners     BIGINT         Distinct listeners with a play on the day
--   sessions      BIGINT         Sessions with a play on the day
--   plays_7_days  DECIMAL(14,2)  Mean plays per day over the day and the six days before
--
-- Chart: line of plays, plays_7_days by day
WITH days AS (
    SELECT
        CAST(p.start_time AS DATE) AS day,
        COUNT(*) AS plays,
        COUNT(DISTINCT p.user_id) AS listeners,
        COUNT(DISTINCT p.session_id) AS sessions
    FROM songplays AS p
    WHERE p.start_time >= :first_day AND p.start_time < :end_day
    GROUP BY CAST(p.start_time AS DATE)
),

with_first AS (
    SELECT
        d.day,
        d.plays,
        d.listeners,
        d.sessions,
        MIN(d.day) OVER () AS first_day
    FROM days AS d
)

SELECT
    d.day,
    d.plays,
    d.listeners,
    d.sessions,
    CAST(SUM(w.plays) AS DOUBLE PRECISION)
    / CASE WHEN d.day - d.first_day < 6 THEN d.day - d.first_day + 1 ELSE 7 END AS plays_7_days
FROM with_first AS d
INNER JOIN days AS w ON w.day BETWEEN d.day - 6 AND d.day
GROUP BY d.day, d.plays, d.listeners, d.sessions, d.first_day
ORDER BY d.day
