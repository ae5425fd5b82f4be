-- How many adverts do free users hear per hour of music?
--
-- Asked by: Sales, for the price of adverts.
-- Adverts and songs of a day on which the user was free at the time. A day without either has no row. Days are UTC.
--
-- Columns:
--   day               DATE           Day
--   adverts           BIGINT         Adverts played to free users
--   hours             DECIMAL(12,2)  Length of the songs that they played, in hours
--   adverts_per_hour  DECIMAL(12,2)  Adverts per hour of songs; NULL without a song
--
-- By day: day
-- Chart: line of adverts_per_hour by day
WITH heard AS (
    SELECT
        CAST(e.ts AS DATE) AS day,
        COUNT(CASE WHEN e.page = 'Roll Advert' THEN 1 END) AS adverts,
        COUNT(p.songplay_id) AS plays,
        COALESCE(SUM(p.length), 0) AS seconds
    FROM product.events AS e
    LEFT JOIN songplays AS p ON e.event_id = p.songplay_id
    WHERE
        e.user_id IS NOT NULL
        AND e.level = 'free'
        AND e.ts >= :first_day AND e.ts < :end_day
    GROUP BY CAST(e.ts AS DATE)
)

SELECT
    h.day,
    h.adverts,
    CAST(h.seconds AS DOUBLE PRECISION) / 3600 AS hours,
    CAST(h.adverts * 3600 AS DOUBLE PRECISION) / NULLIF(h.seconds, 0) AS adverts_per_hour
FROM heard AS h
WHERE h.adverts + h.plays > 0
ORDER BY h.day
