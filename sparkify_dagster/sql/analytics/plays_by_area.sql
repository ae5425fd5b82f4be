-- In which metropolitan areas do people listen to Sparkify?
--
-- Asked by: Sales, who sell advertisements by area.
--
-- Columns:
--   location            VARCHAR(1024)  Metropolitan area
--   plays               BIGINT         Plays of its listeners
--   listeners           BIGINT         Listeners with a play
--   plays_per_listener  DECIMAL(12,2)  Mean plays per listener
--
-- Groups people: location
-- Chart: bar of plays by location
SELECT
    p.location,
    COUNT(*) AS plays,
    COUNT(DISTINCT p.user_id) AS listeners,
    CAST(COUNT(*) AS DOUBLE PRECISION) / COUNT(DISTINCT p.user_id) AS plays_per_listener
FROM songplays AS p
WHERE p.start_time >= :first_day AND p.start_time < :end_day
GROUP BY p.location
ORDER BY plays DESC, location ASC
