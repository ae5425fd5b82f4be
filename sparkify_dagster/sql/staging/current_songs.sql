-- One row per song_id: if several objects contain it, the object whose key sorts last wins. Texts are those of staging;
-- ids that differ only in trailing blanks are the same id.
SELECT
    w.song_id,
    w.title,
    w.artist_id,
    w.artist_name,
    w.artist_location,
    w.artist_latitude,
    w.artist_longitude,
    w.year,
    w.duration,
    w.match_title,
    w.match_artist
FROM (
    SELECT
        s.song_id,
        s.title,
        s.artist_id,
        s.artist_name,
        s.artist_location,
        s.artist_latitude,
        s.artist_longitude,
        s.year,
        s.duration,
        s.match_title,
        s.match_artist,
        ROW_NUMBER() OVER (
            PARTITION BY RTRIM(s.song_id, ' ')
            ORDER BY s.source_key DESC, s.object_number DESC
        ) AS recency
    FROM staging.staging_songs AS s
) AS w
WHERE w.recency = 1
