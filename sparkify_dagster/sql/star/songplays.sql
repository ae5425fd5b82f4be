-- One row per play. A play matches a song by exact title, artist and length; a play without a match is kept.
-- Trailing blanks do not count: staging keeps them, the star removes them.
SELECT
    MD5(
        CAST(e.user_id AS VARCHAR) || '|' || CAST(e.session_id AS VARCHAR)
        || '|' || CAST(e.item_in_session AS VARCHAR) || '|' || CAST(e.epoch_ms AS VARCHAR)
    ) AS songplay_id,
    e.ts AS start_time,
    e.user_id,
    RTRIM(e.level, ' ') AS level,
    RTRIM(m.song_id, ' ') AS song_id,
    RTRIM(m.artist_id, ' ') AS artist_id,
    e.session_id,
    RTRIM(e.location, ' ') AS location,
    RTRIM(e.user_agent, ' ') AS user_agent,
    e.match_song AS song,
    e.match_artist AS artist,
    e.length
FROM staging.staging_events AS e
LEFT JOIN staging.song_matches AS m
    ON
        e.match_song = m.match_title
        AND e.match_artist = m.match_artist
        AND e.length = m.duration
WHERE
    RTRIM(e.page, ' ') = 'NextSong'
    AND e.user_id IS NOT NULL
    AND e.log_date BETWEEN :first_day AND :last_day
