-- Which songs missing from the catalogue are played most?
--
-- Asked by: Licensing, to have them added.
-- A different length is a different recording: the catalogue may contain the song with another length.
--
-- Columns:
--   song       VARCHAR(1024)  Title of the song
--   artist     VARCHAR(1024)  Artist as named on the song
--   length     DECIMAL(10,5)  Length, in seconds
--   plays      BIGINT         Number of plays
--   listeners  BIGINT         Distinct listeners
--
-- Chart: bar of plays by song
SELECT
    p.song,
    p.artist,
    p.length,
    COUNT(*) AS plays,
    COUNT(DISTINCT p.user_id) AS listeners
FROM songplays AS p
WHERE
    p.song_id IS NULL
    AND p.start_time >= :first_day AND p.start_time < :end_day
GROUP BY p.song, p.artist, p.length
ORDER BY plays DESC, song ASC, artist ASC, length ASC
LIMIT 20
