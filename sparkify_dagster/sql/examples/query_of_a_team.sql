-- How much is listened to, by level?
--
-- Asked by: the team, as an example. Replace it by a query of your own.
--
-- Columns:
--   level      VARCHAR(64)  free or paid, as of the play
--   plays      BIGINT       Number of plays
--   listeners  BIGINT       Distinct listeners
--
-- Chart: bar of plays by level
SELECT
    p.level,
    COUNT(*) AS plays,
    COUNT(DISTINCT p.user_id) AS listeners
FROM songplays AS p
WHERE p.start_time >= :first_day AND p.start_time < :end_day
GROUP BY p.level
ORDER BY plays DESC, level ASC
