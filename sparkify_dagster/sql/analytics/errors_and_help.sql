-- How often does the app fail, and how often do people need help?
--
-- Asked by: Operations and Support.
-- Events of all pages, also of those who are not signed in. A day without an event has no row. Days are UTC.
--
-- Columns:
--   day         DATE          Day
--   events      BIGINT        Events
--   errors      BIGINT        Events with an HTTP status of 400 or above
--   help        BIGINT        Events of the page Help
--   error_rate  DECIMAL(7,4)  Share of the events that are errors, 0 to 1
--
-- By day: day
-- Chart: line of errors, help by day
SELECT
    CAST(e.ts AS DATE) AS day,
    COUNT(*) AS events,
    COUNT(CASE WHEN e.status >= 400 THEN 1 END) AS errors,
    COUNT(CASE WHEN e.page = 'Help' THEN 1 END) AS help,
    CAST(COUNT(CASE WHEN e.status >= 400 THEN 1 END) AS DOUBLE PRECISION) / COUNT(*) AS error_rate
FROM product.events AS e
WHERE e.ts >= :first_day AND e.ts < :end_day
GROUP BY CAST(e.ts AS DATE)
ORDER BY day
