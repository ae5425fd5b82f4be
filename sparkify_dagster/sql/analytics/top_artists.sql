-- Which artists are played most?
--
-- Asked by: Curation, who fill the front page.
-- "X feat. Y" counts as X where the catalogue says so; artists whom the catalogue lacks count under their name.
--
-- Columns:
--   artist     VARCHAR(1024)  Artist
--   plays      BIGINT         How often a song of the artist was played
--   songs      BIGINT         How many different titles of the artist were played
--   listeners  BIGINT         How many different listeners played one
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
