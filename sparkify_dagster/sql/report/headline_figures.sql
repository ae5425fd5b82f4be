-- The headline figures of some days, in one row.
WITH sessions AS (
    SELECT
        p.user_id,
        p.session_id,
        COUNT(*) AS plays,
        COUNT(p.song_id) AS matched_plays,
        COUNT(CASE WHEN p.level = 'paid' THEN 1 END) AS paid_plays,
        SUM(p.length) AS seconds
    FROM songplays AS p
    WHERE p.start_time >= :first_day AND p.start_time < :end_day
    GROUP BY p.user_id, p.session_id
)

SELECT
    SUM(s.plays) AS plays,
    COUNT(DISTINCT s.user_id) AS listeners,
    COUNT(*) AS sessions,
    SUM(s.seconds) AS seconds,
    SUM(s.matched_plays) AS matched_plays,
    SUM(s.paid_plays) AS paid_plays
FROM sessions AS s
