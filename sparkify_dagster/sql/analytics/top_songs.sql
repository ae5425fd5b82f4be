-- Which songs are played most?
--
-- Asked by: Curation, who fill the front page.
-- A song is identified by title and artist in the log, so songs missing from the catalogue count too.
--
-- Columns:
--   song       VARCHAR(1024)  Title of the song
--   artist     VARCHAR(1024)  Artist as named on the song
--   plays      BIGINT         Number of plays
--   listeners  BIGINT         Distinct listeners
--
-- Chart: bar of plays by song
SELECT
    p.song,
    p.artist,
    COUNT(*) AS plays,
    COUNT(DISTINCT p.user_id) AS listeners
FROM songplays AS p
WHERE p.start_time >= :first_day AND p.start_time < :end_day
GROUP BY p.song, p.artist
ORDER BY plays DESC, song ASC, artist ASC
LIMIT 20
