-- Which artists are played most?
--
-- Asked by: Curation, who fill the front page.
-- "X feat. Y" counts as X if the catalogue assigns the song to X; artists missing from the catalogue count under the
-- name in the log.
--
-- Columns:
--   artist     VARCHAR(1024)  Artist
--   plays      BIGINT         Plays of the artist's songs
--   songs      BIGINT         Distinct titles played
--   listeners  BIGINT         Distinct listeners
--
-- Chart: bar of plays by artist
SELECT
    n.artist,
    COUNT(*) AS plays,
    COUNT(DISTINCT n.song) AS songs,
    COUNT(DISTINCT n.user_id) AS listeners
FROM (
    SELECT
        COALESCE(a.name, p.artist) AS artist,
        p.song,
        p.user_id
    FROM songplays AS p
    LEFT JOIN artists AS a ON p.artist_id = a.artist_id
    WHERE p.start_time >= :first_day AND p.start_time < :end_day
) AS n
GROUP BY n.artist
ORDER BY plays DESC, artist ASC
LIMIT 20
