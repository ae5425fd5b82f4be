-- How much is played on each weekday of the public month?
--
-- Asked by: The tests, of the app's logs of November 2018.
--
-- Columns:
--   weekday  SMALLINT  0 = Sunday to 6 = Saturday
--   plays    BIGINT    Plays
SELECT
    t.weekday,
    COUNT(*) AS plays
FROM songplays AS p
INNER JOIN time AS t ON p.start_time = t.start_time
WHERE p.start_time >= :first_day AND p.start_time < :end_day
GROUP BY t.weekday
ORDER BY t.weekday
