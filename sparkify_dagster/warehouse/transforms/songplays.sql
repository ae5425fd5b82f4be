-- One row a play. A play finds its song by title, artist and length, all three exactly; without a song it is kept.
SELECT
    MD5(
        CAST(e.user_id AS VARCHAR) || '|' || CAST(e.session_id AS VARCHAR)
        || '|' || CAST(e.item_in_session AS VARCHAR) || '|' || CAST(e.epoch_ms AS VARCHAR)
    ) AS songplay_id,
    e.ts AS start_time,
    e.user_id,
    e.level,
    m.song_id,
    m.artist_id,
    e.session_id,
    e.location,
    e.user_agent,
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
    e.page = 'NextSong'
    AND e.user_id IS NOT NULL
    AND e.log_date BETWEEN :first_day AND :last_day
