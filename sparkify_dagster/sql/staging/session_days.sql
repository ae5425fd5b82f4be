-- One row per session, user and day.
SELECT
    s.session_id,
    s.user_id,
    s.log_date,
    MIN(s.ts) AS started_at,
    MAX(s.ts) AS ended_at,
    MAX(CASE WHEN s.position = 1 THEN s.page END) AS first_page,
    MAX(CASE WHEN s.recency = 1 THEN s.page END) AS last_page,
    COUNT(*) AS events,
    COUNT(CASE WHEN s.page = 'NextSong' THEN 1 END) AS plays,
    COALESCE(SUM(CASE WHEN s.page = 'NextSong' THEN s.length END), 0) AS seconds_played,
    COUNT(CASE WHEN s.status >= 400 THEN 1 END) AS errors,
    MAX(CASE WHEN s.position = 1 THEN s.level END) AS level_at_start,
    MAX(CASE WHEN s.recency = 1 THEN s.level END) AS level_at_end,
    COUNT(CASE WHEN s.page = 'Submit Upgrade' THEN 1 END) AS upgrades,
    COUNT(CASE WHEN s.page = 'Submit Downgrade' THEN 1 END) AS downgrades
FROM (
    SELECT
        e.session_id,
        e.user_id,
        e.log_date,
        e.ts,
        e.length,
        e.status,
        RTRIM(e.page, ' ') AS page,
        RTRIM(e.level, ' ') AS level,
        -- Warehouses sort NULL differently; here it is the lowest value.
        ROW_NUMBER() OVER (
            PARTITION BY e.session_id, e.user_id, e.log_date
            ORDER BY e.ts, CASE WHEN e.item_in_session IS NULL THEN 0 ELSE 1 END, e.item_in_session
        ) AS position,
        ROW_NUMBER() OVER (
            PARTITION BY e.session_id, e.user_id, e.log_date
            ORDER BY e.ts DESC, CASE WHEN e.item_in_session IS NULL THEN 0 ELSE 1 END DESC, e.item_in_session DESC
        ) AS recency
    FROM staging.staging_events AS e
    WHERE
        e.user_id IS NOT NULL
        AND e.session_id IS NOT NULL
        AND e.log_date BETWEEN :first_day AND :last_day
) AS s
GROUP BY s.session_id, s.user_id, s.log_date
