-- Redshift only: casts the songs that COPY has landed; decimals as in warehouse/redshift/landing.py.
SELECT
    s.num_songs,
    s.artist_id,
    CAST(ROUND(s.artist_latitude * 1000000) AS BIGINT) * CAST(0.000001 AS DECIMAL(7, 6)) AS artist_latitude,
    CAST(ROUND(s.artist_longitude * 1000000) AS BIGINT) * CAST(0.000001 AS DECIMAL(7, 6)) AS artist_longitude,
    s.artist_location,
    s.artist_name,
    s.song_id,
    s.title,
    CAST(ROUND(s.duration * 100000) AS BIGINT) * CAST(0.00001 AS DECIMAL(6, 5)) AS duration,
    s.year,
    s.source_key,
    s.object_number,
    RTRIM(s.title, ' ') AS match_title,
    RTRIM(s.artist_name, ' ') AS match_artist
FROM landing_songs AS s
