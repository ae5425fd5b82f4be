-- Which three songs are played most in the public month?
--
-- Asked by: The tests, of the app's logs of November 2018.
-- The second is logged as "BjÃ\x83Â¶rk", in an encoding that only the repair undoes.
--
-- Columns:
--   song    VARCHAR(1024)  Title
--   artist  VARCHAR(1024)  Artist
--   plays   BIGINT         Plays
SELECT
    p.song,
    p.artist,
    COUNT(*) AS plays
FROM songplays AS p
WHERE p.start_time >= :first_day AND p.start_time < :end_day
GROUP BY p.song, p.artist
ORDER BY plays DESC, song ASC
LIMIT 3
