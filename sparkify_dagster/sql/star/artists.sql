-- One row per artist_id. Each attribute is chosen separately from the artist's songs, because many songs lack some.
WITH
-- Trailing blanks are removed.
current_songs AS (
    SELECT
        RTRIM(c.song_id, ' ') AS song_id,
        RTRIM(c.artist_id, ' ') AS artist_id,
        c.match_artist,
        RTRIM(c.artist_location, ' ') AS artist_location,
        c.artist_latitude,
        c.artist_longitude,
        c.year
    FROM staging.current_songs AS c
),

-- The name on most songs, so that "X feat. Y" does not rename X.
name_counts AS (
    SELECT
        c.artist_id,
        c.match_artist,
        COUNT(*) AS song_count,
        MAX(c.song_id) AS greatest_song_id
    FROM current_songs AS c
    WHERE c.match_artist <> ''
    GROUP BY c.artist_id, c.match_artist
),

names AS (
    SELECT
        n.artist_id,
        n.match_artist,
        ROW_NUMBER() OVER (
            PARTITION BY n.artist_id
            ORDER BY n.song_count DESC, n.greatest_song_id DESC
        ) AS preference
    FROM name_counts AS n
),

-- From the latest song that has one; an unknown year counts as the earliest.
locations AS (
    SELECT
        c.artist_id,
        c.artist_location,
        ROW_NUMBER() OVER (
            PARTITION BY c.artist_id
            ORDER BY
                CASE WHEN c.year <> 0 THEN 1 ELSE 0 END DESC,
                CASE WHEN c.year <> 0 THEN c.year ELSE 0 END DESC,
                c.song_id DESC
        ) AS preference
    FROM current_songs AS c
    WHERE c.artist_location <> ''
),

positions AS (
    SELECT
        c.artist_id,
        c.artist_latitude,
        c.artist_longitude,
        ROW_NUMBER() OVER (
            PARTITION BY c.artist_id
            ORDER BY
                CASE WHEN c.year <> 0 THEN 1 ELSE 0 END DESC,
                CASE WHEN c.year <> 0 THEN c.year ELSE 0 END DESC,
                c.song_id DESC
        ) AS preference
    FROM current_songs AS c
    WHERE
        c.artist_latitude IS NOT NULL
        AND c.artist_longitude IS NOT NULL
)

SELECT
    a.artist_id,
    n.match_artist AS name,
    l.artist_location AS location,
    p.artist_latitude AS latitude,
    p.artist_longitude AS longitude
FROM (
    SELECT DISTINCT c.artist_id
    FROM current_songs AS c
) AS a
LEFT JOIN names AS n ON a.artist_id = n.artist_id AND n.preference = 1
LEFT JOIN locations AS l ON a.artist_id = l.artist_id AND l.preference = 1
LEFT JOIN positions AS p ON a.artist_id = p.artist_id AND p.preference = 1
