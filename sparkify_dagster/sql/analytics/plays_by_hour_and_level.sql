-- At which hours do free and paying users listen?
--
-- Asked by: Sales, to sell adverts for the hours that free users listen.
-- Hours are UTC, not the listener's local time. An hour without a play has no row.
--
-- Columns:
--   level      VARCHAR(64)  free or paid, at the time of the play
--   hour       SMALLINT     0 to 23
--   plays      BIGINT       Songs played
--   listeners  BIGINT       Users who played them
--
-- Chart: heat map of plays by hour and level
SELECT
    e.level,
    EXTRACT(HOUR FROM e.ts) AS hour,
    COUNT(*) AS plays,
    COUNT(DISTINCT e.user_id) AS listeners
FROM product.events AS e
WHERE
    e.page = 'NextSong'
    AND e.user_id IS NOT NULL
    AND e.ts >= :first_day AND e.ts < :end_day
GROUP BY e.level, EXTRACT(HOUR FROM e.ts)
ORDER BY e.level, hour
