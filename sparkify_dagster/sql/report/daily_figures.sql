-- The headline figures of each day that has a play. A session over midnight is one of both days.
WITH sessions AS (
    SELECT
        CAST(p.start_time AS DATE) AS day,
        p.user_id,
        p.session_id,
        COUNT(*) AS plays,
        COUNT(p.song_id) AS matched_plays,
        COUNT(CASE WHEN p.level = 'paid' THEN 1 END) AS paid_plays,
        SUM(p.length) AS seconds
    FROM songplays AS p
    WHERE p.start_time >= :first_day AND p.start_time < :end_day
    GROUP BY CAST(p.start_time AS DATE), p.user_id, p.session_id
)

SELECT
    s.day,
    SUM(s.plays) AS plays,
    COUNT(DISTINCT s.user_id) AS listeners,
    COUNT(*) AS sessions,
    SUM(s.seconds) AS seconds,
    SUM(s.matched_plays) AS matched_plays,
    SUM(s.paid_plays) AS paid_plays
FROM sessions AS s
GROUP BY s.day
ORDER BY s.day
