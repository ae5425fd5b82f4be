-- The song that a play matches, per title, artist and length: of several songs with all three, the smallest song_id.
SELECT
    m.match_title,
    m.match_artist,
    m.duration,
    m.song_id,
    m.artist_id
FROM (
    SELECT
        c.match_title,
        c.match_artist,
        c.duration,
        c.song_id,
        c.artist_id,
        ROW_NUMBER() OVER (
            PARTITION BY c.match_title, c.match_artist, c.duration
            ORDER BY RTRIM(c.song_id, ' ')
        ) AS preference
    FROM staging.current_songs AS c
    WHERE
        c.match_title IS NOT NULL
        AND c.match_artist IS NOT NULL
        AND c.duration IS NOT NULL
) AS m
WHERE m.preference = 1
