-- On how many of the last 28 days were users active?
--
-- Asked by: Product, to compare occasional users with daily ones.
-- The 28 days end with the last day that has events. A user is active with an event of any page. Days are UTC.
--
-- Columns:
--   days_active  INTEGER       1 to 28
--   users        BIGINT        Users active on that many days
--   share        DECIMAL(7,4)  Share of all users active on one of them, 0 to 1
--
-- Chart: bar of users by days_active
WITH activity AS (
    SELECT
        a.user_id,
        a.day
    FROM product.daily_activity AS a
    WHERE a.day >= :first_day AND a.day < :end_day
),

ends AS (
    SELECT MAX(a.day) AS period_end
    FROM activity AS a
),

days_of_users AS (
    SELECT
        a.user_id,
        COUNT(*) AS days_active
    FROM activity AS a
    INNER JOIN ends AS e ON a.day > e.period_end - 28
    GROUP BY a.user_id
),

totals AS (
    SELECT COUNT(d.user_id) AS users
    FROM days_of_users AS d
)

SELECT
    d.days_active,
    COUNT(*) AS users,
    CAST(COUNT(*) AS DOUBLE PRECISION) / t.users AS share
FROM days_of_users AS d
INNER JOIN totals AS t ON t.users > 0
GROUP BY d.days_active, t.users
ORDER BY d.days_active
