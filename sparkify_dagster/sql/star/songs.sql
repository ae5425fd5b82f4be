-- One row per song of the catalogue; year 0 means unknown, and trailing blanks are removed.
SELECT
    RTRIM(c.song_id, ' ') AS song_id,
    RTRIM(c.title, ' ') AS title,
    RTRIM(c.artist_id, ' ') AS artist_id,
    NULLIF(c.year, 0) AS year,
    c.duration
FROM staging.current_songs AS c
