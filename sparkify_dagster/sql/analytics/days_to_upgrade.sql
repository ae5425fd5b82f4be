-- How long are users free before they pay?
--
-- Asked by: Marketing, to time its offers.
-- From the day of a user's first event as free to that of the first one as paid, UTC. Users whose first level in the
-- period is paid do not count.
--
-- Columns:
--   days   INTEGER  Days, from 0 for the same day
--   users  BIGINT   Users who took that long
--
-- Chart: bar of users by days
WITH ordered AS (
    SELECT
        e.user_id,
        CAST(e.ts AS DATE) AS day,
        e.level,
        ROW_NUMBER() OVER (
            PARTITION BY e.user_id
            ORDER BY
                e.ts,
                CASE WHEN e.session_id IS NULL THEN 0 ELSE 1 END,
                e.session_id,
                CASE WHEN e.item_in_session IS NULL THEN 0 ELSE 1 END,
                e.item_in_session
        ) AS position
    FROM product.events AS e
    WHERE
        e.user_id IS NOT NULL
        AND e.level IS NOT NULL
        AND e.ts >= :first_day AND e.ts < :end_day
),

upgrades AS (
    SELECT
        o.user_id,
        MIN(CASE WHEN o.level = 'free' THEN o.day END) AS free_day,
        MIN(CASE WHEN o.level = 'paid' THEN o.day END) AS paid_day
    FROM ordered AS o
    GROUP BY o.user_id
    HAVING MAX(CASE WHEN o.position = 1 AND o.level = 'free' THEN 1 ELSE 0 END) = 1
)

SELECT
    u.paid_day - u.free_day AS days,
    COUNT(*) AS users
FROM upgrades AS u
WHERE u.paid_day IS NOT NULL
GROUP BY u.paid_day - u.free_day
ORDER BY days
