-- Where do each week's active users come from, and how many are gone?
--
-- Asked by: Management, to see whether growth is new users or old ones.
-- A user is active with an event of any page. Weeks are ISO weeks, UTC; a week without anybody has a row. The users of
-- a week are those of the week before, plus new and resurrected, minus churned ones.
--
-- Columns:
--   week               DATE    Monday of the week
--   active_users       BIGINT  Active users
--   new_users          BIGINT  Of these, users active for the first time in the period
--   retained_users     BIGINT  Of these, users who were active in the week before
--   resurrected_users  BIGINT  Of these, users who were active earlier, but not in the week before
--   churned_users      BIGINT  Users active in the week before, but not in this one
--
-- Chart: line of new_users, retained_users, resurrected_users, churned_users by week
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

active_weeks AS (
    SELECT DISTINCT
        a.user_id,
        CAST(DATE_TRUNC('week', a.day) AS DATE) AS week
    FROM product.daily_activity AS a
    WHERE a.day >= :first_day AND a.day < :end_day
),

visits AS (
    SELECT
        w.user_id,
        w.week,
        LAG(w.week) OVER (
            PARTITION BY w.user_id
            ORDER BY w.week
        ) AS week_before,
        LEAD(w.week) OVER (
            PARTITION BY w.user_id
            ORDER BY w.week
        ) AS week_after
    FROM active_weeks AS w
),

bounds AS (
    SELECT
        MIN(w.week) AS first_week,
        MAX(w.week) AS last_week
    FROM active_weeks AS w
),

-- Up to 1,000 weeks.
weeks AS (
    SELECT b.first_week + 7 * (o.digit + 10 * t.digit + 100 * h.digit) AS week
    FROM bounds AS b
    INNER JOIN digits AS o ON o.digit >= 0
    INNER JOIN digits AS t ON t.digit >= 0
    INNER JOIN digits AS h ON h.digit >= 0
    WHERE b.first_week + 7 * (o.digit + 10 * t.digit + 100 * h.digit) <= b.last_week
),

arrivals AS (
    SELECT
        v.week,
        COUNT(*) AS active_users,
        COUNT(CASE WHEN v.week_before IS NULL THEN 1 END) AS new_users,
        COUNT(CASE WHEN v.week_before = v.week - 7 THEN 1 END) AS retained_users,
        COUNT(CASE WHEN v.week_before < v.week - 7 THEN 1 END) AS resurrected_users
    FROM visits AS v
    GROUP BY v.week
),

departures AS (
    SELECT
        v.week + 7 AS week,
        COUNT(*) AS churned_users
    FROM visits AS v
    WHERE v.week_after IS NULL OR v.week_after > v.week + 7
    GROUP BY v.week
)

SELECT
    w.week,
    COALESCE(a.active_users, 0) AS active_users,
    COALESCE(a.new_users, 0) AS new_users,
    COALESCE(a.retained_users, 0) AS retained_users,
    COALESCE(a.resurrected_users, 0) AS resurrected_users,
    COALESCE(d.churned_users, 0) AS churned_users
FROM weeks AS w
LEFT JOIN arrivals AS a ON w.week = a.week
LEFT JOIN departures AS d ON w.week = d.week
ORDER BY w.week
