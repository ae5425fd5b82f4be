-- How many users downgrade or cancel per week?
--
-- Asked by: Product, to notice a bad release.
-- Weeks are ISO weeks, UTC. A week without anybody has no row.
--
-- Columns:
--   week              DATE          Monday of the week
--   active_users      BIGINT        Users with an event
--   downgraded_users  BIGINT        Of these, users who submitted a downgrade
--   cancelled_users   BIGINT        Of these, users who cancelled
--   leaving_share     DECIMAL(7,4)  Share of the active users who did either, 0 to 1
--
-- Chart: line of downgraded_users, cancelled_users by week
WITH weeks AS (
    SELECT
        a.user_id,
        CAST(DATE_TRUNC('week', a.day) AS DATE) AS week,
        MAX(CASE WHEN a.downgrades > 0 THEN 1 ELSE 0 END) AS downgraded,
        MAX(CASE WHEN a.cancelled > 0 THEN 1 ELSE 0 END) AS cancelled
    FROM product.daily_activity AS a
    WHERE a.day >= :first_day AND a.day < :end_day
    GROUP BY a.user_id, CAST(DATE_TRUNC('week', a.day) AS DATE)
)

SELECT
    w.week,
    COUNT(*) AS active_users,
    SUM(w.downgraded) AS downgraded_users,
    SUM(w.cancelled) AS cancelled_users,
    CAST(COUNT(CASE WHEN w.downgraded + w.cancelled > 0 THEN 1 END) AS DOUBLE PRECISION) / COUNT(*) AS leaving_share
FROM weeks AS w
GROUP BY w.week
ORDER BY w.week
