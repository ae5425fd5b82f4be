-- How many users are active per day, week and month?
--
-- Asked by: Management, as the headline of each report.
-- A user is active with an event of any page. Weeks are the 7 days and months the 30 days that end with the day, within
-- the period. Days are UTC; a day without anybody has a row.
--
-- Columns:
--   day            DATE          Day
--   daily_users    BIGINT        Users active on the day
--   weekly_users   BIGINT        Users active on it or the 6 days before
--   monthly_users  BIGINT        Users active on it or the 29 days before
--   stickiness     DECIMAL(7,4)  Daily users as a share of monthly ones, 0 to 1; NULL without any
--
-- Chart: line of daily_users, weekly_users, monthly_users by day
WITH digits AS (
    SELECT 0 AS digit
    UNION ALL
    SELECT 1 AS digit
    UNION ALL
    SELECT 2 AS digit
    UNION ALL
    SELECT 3 AS digit
    UNION ALL
    SELECT 4 AS digit
    UNION ALL
    SELECT 5 AS digit
    UNION ALL
    SELECT 6 AS digit
    UNION ALL
    SELECT 7 AS digit
    UNION ALL
    SELECT 8 AS digit
    UNION ALL
    SELECT 9 AS digit
),

activity AS (
    SELECT
        a.user_id,
        a.day
    FROM product.daily_activity AS a
    WHERE a.day >= :first_day AND a.day < :end_day
),

bounds AS (
    SELECT
        MIN(a.day) AS first_active_day,
        MAX(a.day) AS last_active_day
    FROM activity AS a
),

-- Up to 10,000 days.
days AS (
    SELECT b.first_active_day + o.digit + 10 * t.digit + 100 * h.digit + 1000 * k.digit AS day
    FROM bounds AS b
    INNER JOIN digits AS o ON o.digit <= b.last_active_day - b.first_active_day
    INNER JOIN digits AS t ON 10 * t.digit <= b.last_active_day - b.first_active_day
    INNER JOIN digits AS h ON 100 * h.digit <= b.last_active_day - b.first_active_day
    INNER JOIN digits AS k ON 1000 * k.digit <= b.last_active_day - b.first_active_day
    WHERE b.first_active_day + o.digit + 10 * t.digit + 100 * h.digit + 1000 * k.digit <= b.last_active_day
),

counts AS (
    SELECT
        d.day,
        COUNT(DISTINCT CASE WHEN a.day = d.day THEN a.user_id END) AS daily_users,
        COUNT(DISTINCT CASE WHEN a.day > d.day - 7 THEN a.user_id END) AS weekly_users,
        COUNT(DISTINCT a.user_id) AS monthly_users
    FROM days AS d
    LEFT JOIN activity AS a ON d.day - 30 < a.day AND d.day >= a.day
    GROUP BY d.day
)

SELECT
    c.day,
    c.daily_users,
    c.weekly_users,
    c.monthly_users,
    CAST(c.daily_users AS DOUBLE PRECISION) / NULLIF(c.monthly_users, 0) AS stickiness
FROM counts AS c
ORDER BY c.day
