-- How many of a day's listeners are new?
--
-- Asked by: Marketing, to monitor campaigns.
-- A listener is new on the day of the first play in the period, and returning on every later day. Days are UTC.
--
-- Columns:
--   day                  DATE    Day
--   listeners            BIGINT  Listeners with a play on the day
--   new_listeners        BIGINT  Of these, listeners without an earlier play
--   returning_listeners  BIGINT  The others
--
-- Chart: line of new_listeners, returning_listeners by day
WITH days AS (
    SELECT DISTINCT
        p.user_id,
        CAST(p.start_time AS DATE) AS day
    FROM songplays AS p
    WHERE p.start_time >= :first_day AND p.start_time < :end_day
),

first_days AS (
    SELECT
        d.user_id,
        MIN(d.day) AS first_day
    FROM days AS d
    GROUP BY d.user_id
)

SELECT
    d.day,
    COUNT(*) AS listeners,
    COUNT(CASE WHEN d.day = f.first_day THEN 1 END) AS new_listeners,
    COUNT(CASE WHEN d.day > f.first_day THEN 1 END) AS returning_listeners
FROM days AS d
INNER JOIN first_days AS f ON d.user_id = f.user_id
GROUP BY d.day
ORDER BY d.day
