-- One row a song of the catalogue; year 0 means unknown.
SELECT
    c.song_id,
    c.title,
    c.artist_id,
    NULLIF(c.year, 0) AS year,
    c.duration
FROM staging.catalogue AS c
