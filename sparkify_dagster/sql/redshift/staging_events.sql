-- Redshift only: casts the events that COPY has landed. `:event_columns` stands for the columns of the log, each with
-- the cast of its kind (warehouse/redshift/landing.py).
SELECT
    :event_columns,
    CAST(
        DATEADD(
            MS,
            CAST(MOD(e.ts, 1000) AS INTEGER),
            TIMESTAMP 'epoch' + (e.ts / 1000) * INTERVAL '1 second'
        )
        AS DATE
    ) AS log_date,
    e.ts AS epoch_ms,
    COALESCE(s.repaired, RTRIM(e.song, ' ')) AS match_song,
    COALESCE(a.repaired, RTRIM(e.artist, ' ')) AS match_artist
FROM landing_events AS e
LEFT JOIN landing_repairs AS s ON RTRIM(e.song, ' ') = s.broken
LEFT JOIN landing_repairs AS a ON RTRIM(e.artist, ' ') = a.broken
