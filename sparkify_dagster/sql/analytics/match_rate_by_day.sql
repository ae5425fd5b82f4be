-- How many plays match a song of the catalogue?
--
-- Asked by: Licensing, who report each song by its id.
-- Days are UTC; a day without a play has no row.
--
-- Columns:
--   day         DATE          Day
--   plays       BIGINT        Plays that started on the day
--   matched     BIGINT        Of these, plays whose song is in the catalogue
--   match_rate  DECIMAL(7,4)  Share of matched plays, 0 to 1
--
-- By day: day
-- Chart: line of match_rate by day
SELECT
    CAST(p.start_time AS DATE) AS day,
    COUNT(*) AS plays,
    COUNT(p.song_id) AS matched,
    CAST(COUNT(p.song_id) AS DOUBLE PRECISION) / COUNT(*) AS match_rate
FROM songplays AS p
WHERE p.start_time >= :first_day AND p.start_time < :end_day
GROUP BY CAST(p.start_time AS DATE)
ORDER BY day
