-- How long are sessions, and how many songs are played in them, by level?
--
-- Asked by: Product, to compare free and paid listening.
-- A session counts at the level of its first play. It lasts from the minute in which its first play starts to the
-- minute in which its last play starts; sessions without a play do not count.
--
-- Columns:
--   level              VARCHAR(64)    free or paid
--   sessions           BIGINT         Sessions with a play
--   plays              BIGINT         Plays in them
--   plays_per_session  DECIMAL(12,2)  Mean plays per session
--   minutes            DECIMAL(12,2)  Mean length in minutes
--   longest_minutes    BIGINT         Minutes of the longest session
--
-- Chart: bar of minutes by level
WITH plays AS (
    SELECT
        p.session_id,
        p.level,
        p.start_time,
        ROW_NUMBER() OVER (PARTITION BY p.session_id ORDER BY p.start_time, p.songplay_id) AS place
    FROM songplays AS p
    WHERE p.start_time >= :first_day AND p.start_time < :end_day
),

sessions AS (
    SELECT
        p.session_id,
        MAX(CASE WHEN p.place = 1 THEN p.level END) AS level,
        COUNT(*) AS plays,
        MIN(p.start_time) AS started,
        MAX(p.start_time) AS ended
    FROM plays AS p
    GROUP BY p.session_id
),

lengths AS (
    SELECT
        s.level,
        s.plays,
        (CAST(s.ended AS DATE) - CAST(s.started AS DATE)) * 1440
        + (EXTRACT(HOUR FROM s.ended) - EXTRACT(HOUR FROM s.started)) * 60
        + EXTRACT(MINUTE FROM s.ended) - EXTRACT(MINUTE FROM s.started) AS minutes
    FROM sessions AS s
)

SELECT
    l.level,
    COUNT(*) AS sessions,
    SUM(l.plays) AS plays,
    CAST(SUM(l.plays) AS DOUBLE PRECISION) / COUNT(*) AS plays_per_session,
    CAST(SUM(l.minutes) AS DOUBLE PRECISION) / COUNT(*) AS minutes,
    MAX(l.minutes) AS longest_minutes
FROM lengths AS l
GROUP BY l.level
ORDER BY level
