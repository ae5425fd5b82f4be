-- At which hours of the week do people listen?
--
-- Asked by: Operations, to plan maintenance in quiet hours.
-- Hours are UTC, not the listener's local time. An hour without a play has no row.
--
-- Columns:
--   weekday  SMALLINT    0 = Sunday to 6 = Saturday
--   day      VARCHAR(3)  Sun to Sat
--   hour     SMALLINT    0 to 23
--   plays    BIGINT      Plays that started in that hour of that weekday
--
-- Chart: heat map of plays by hour and day
SELECT
    t.weekday,
    CASE t.weekday
        WHEN 0 THEN 'Sun'
        WHEN 1 THEN 'Mon'
        WHEN 2 THEN 'Tue'
        WHEN 3 THEN 'Wed'
        WHEN 4 THEN 'Thu'
        WHEN 5 THEN 'Fri'
        WHEN 6 THEN 'Sat'
    END AS day,
    t.hour,
    COUNT(*) AS plays
FROM songplays AS p
INNER JOIN time AS t ON p.start_time = t.start_time
WHERE p.start_time >= :first_day AND p.start_time < :end_day
GROUP BY t.weekday, t.hour
ORDER BY t.weekday, t.hour
