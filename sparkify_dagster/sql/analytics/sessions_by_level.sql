-- How long do people listen in a session, and how many songs do they play, by level?
--
-- Asked by: Product, to compare free and paid listening.
-- A session counts at the level of its first event, and in the period in which it starts. Sessions without a play do
-- not count.
--
-- Columns:
--   level              VARCHAR(64)    free or paid
--   sessions           BIGINT         Sessions with a play
--   plays              BIGINT         Plays in them
--   plays_per_session  DECIMAL(12,2)  Mean plays per session
--   minutes            DECIMAL(12,2)  Mean minutes of songs per session
--   longest_minutes    DECIMAL(12,2)  Minutes of songs in the longest session
--
-- Chart: bar of minutes by level
SELECT
    s.level_at_start AS level,
    COUNT(*) AS sessions,
    SUM(s.plays) AS plays,
    CAST(SUM(s.plays) AS DOUBLE PRECISION) / COUNT(*) AS plays_per_session,
    CAST(SUM(s.seconds_played) AS DOUBLE PRECISION) / (60 * COUNT(*)) AS minutes,
    CAST(MAX(s.seconds_played) AS DOUBLE PRECISION) / 60 AS longest_minutes
FROM product.sessions AS s
WHERE
    s.plays > 0
    AND s.started_at >= :first_day AND s.started_at < :end_day
GROUP BY s.level_at_start
ORDER BY level
