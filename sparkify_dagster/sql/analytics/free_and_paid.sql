-- How much of the listening is paid for?
--
-- Asked by: Finance, every month.
-- The level is that at the time of the play, not the listener's current one. Weeks are ISO weeks, UTC.
--
-- Columns:
--   week            DATE          Monday of the week
--   plays           BIGINT        All plays
--   paid_plays      BIGINT        Plays at level paid
--   paid_share      DECIMAL(7,4)  Share of the plays at level paid, 0 to 1
--   free_listeners  BIGINT        Listeners with a play at level free
--   paid_listeners  BIGINT        Listeners with a play at level paid; one who changes level counts twice
--
-- Chart: line of paid_share by week
SELECT
    CAST(DATE_TRUNC('week', p.start_time) AS DATE) AS week,
    COUNT(*) AS plays,
    COUNT(CASE WHEN p.level = 'paid' THEN 1 END) AS paid_plays,
    CAST(COUNT(CASE WHEN p.level = 'paid' THEN 1 END) AS DOUBLE PRECISION) / COUNT(*) AS paid_share,
    COUNT(DISTINCT CASE WHEN p.level = 'free' THEN p.user_id END) AS free_listeners,
    COUNT(DISTINCT CASE WHEN p.level = 'paid' THEN p.user_id END) AS paid_listeners
FROM songplays AS p
WHERE p.start_time >= :first_day AND p.start_time < :end_day
GROUP BY CAST(DATE_TRUNC('week', p.start_time) AS DATE)
ORDER BY week
