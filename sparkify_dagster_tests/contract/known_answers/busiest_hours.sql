-- Which three hours of the day are the busiest of the public month?
--
-- Asked by: The tests, of the app's logs of November 2018.
--
-- Columns:
--   hour   SMALLINT  Hour, UTC
--   plays  BIGINT    Plays
SELECT
    t.hour,
    COUNT(*) AS plays
FROM songplays AS p
INNER JOIN time AS t ON p.start_time = t.start_time
WHERE p.start_time >= :first_day AND p.start_time < :end_day
GROUP BY t.hour
ORDER BY plays DESC, t.hour ASC
LIMIT 3
