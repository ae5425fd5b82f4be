-- One row per session and user. Only sessions with events on the days, now or before the reload, are rebuilt.
SELECT
    s.session_id,
    s.user_id,
    MIN(s.started_at) AS started_at,
    MAX(s.ended_at) AS ended_at,
    MAX(CASE WHEN s.position = 1 THEN s.first_page END) AS first_page,
    MAX(CASE WHEN s.recency = 1 THEN s.last_page END) AS last_page,
    SUM(s.events) AS events,
    SUM(s.plays) AS plays,
    SUM(s.seconds_played) AS seconds_played,
    SUM(s.errors) AS errors,
    MAX(CASE WHEN s.position = 1 THEN s.level_at_start END) AS level_at_start,
    MAX(CASE WHEN s.recency = 1 THEN s.level_at_end END) AS level_at_end,
    SUM(s.upgrades) AS upgrades,
    SUM(s.downgrades) AS downgrades
FROM (
    SELECT
        d.session_id,
        d.user_id,
        d.started_at,
        d.ended_at,
        d.first_page,
        d.last_page,
        d.events,
        d.plays,
        d.seconds_played,
        d.errors,
        d.level_at_start,
        d.level_at_end,
        d.upgrades,
        d.downgrades,
        -- A day has no events of other days, so the first day has the first event and the last day the last one.
        ROW_NUMBER() OVER (
            PARTITION BY d.session_id, d.user_id
            ORDER BY d.log_date
        ) AS position,
        ROW_NUMBER() OVER (
            PARTITION BY d.session_id, d.user_id
            ORDER BY d.log_date DESC
        ) AS recency
    FROM staging.session_days AS d
    INNER JOIN touched_sessions AS t ON d.session_id = t.session_id
) AS s
GROUP BY s.session_id, s.user_id
