-- Redshift only: typed events of what COPY brought. DATEADD takes an INTEGER, too small for milliseconds since 1970;
-- ROUND by way of an integer is the nearest decimal, however a cast of a double would round.
SELECT
    e.artist,
    e.auth,
    e.first_name,
    e.gender,
    e.item_in_session,
    e.last_name,
    CAST(ROUND(e.length * 100000) AS BIGINT) * CAST(0.00001 AS DECIMAL(6, 5)) AS length,
    e.level,
    e.location,
    e.method,
    e.page,
    DATEADD(
        MS,
        CAST(MOD(e.registration, 1000) AS INTEGER),
        TIMESTAMP 'epoch' + (e.registration / 1000) * INTERVAL '1 second'
    ) AS registration,
    e.session_id,
    e.song,
    e.status,
    e.happened AS ts,
    e.user_agent,
    e.user_id,
    CAST(e.happened AS DATE) AS log_date,
    e.ts AS epoch_ms,
    COALESCE(s.repaired, RTRIM(e.song, ' ')) AS match_song,
    COALESCE(a.repaired, RTRIM(e.artist, ' ')) AS match_artist
FROM (
    SELECT
        i.artist,
        i.auth,
        i.first_name,
        i.gender,
        i.item_in_session,
        i.last_name,
        i.length,
        i.level,
        i.location,
        i.method,
        i.page,
        CAST(i.registration AS BIGINT) AS registration,
        i.session_id,
        i.song,
        i.status,
        i.ts,
        DATEADD(
            MS,
            CAST(MOD(i.ts, 1000) AS INTEGER),
            TIMESTAMP 'epoch' + (i.ts / 1000) * INTERVAL '1 second'
        ) AS happened,
        i.user_agent,
        i.user_id
    FROM landing_events AS i
) AS e
LEFT JOIN landing_repairs AS s ON RTRIM(e.song, ' ') = s.broken
LEFT JOIN landing_repairs AS a ON RTRIM(e.artist, ' ') = a.broken
