-- How many free users become paying ones, and where do the others stop?
--
-- Asked by: Product, for the page Upgrade.
-- Each stage counts the users of the stage before who reached it too, in any order within the period.
--
-- Columns:
--   step   SMALLINT      1 to 4
--   stage  VARCHAR(64)   What the users did
--   users  BIGINT        Users
--   share  DECIMAL(7,4)  Share of the users of step 1, 0 to 1
--
-- Chart: bar of users by stage
WITH ordered AS (
    SELECT
        e.user_id,
        e.page,
        e.level,
        ROW_NUMBER() OVER (
            PARTITION BY e.user_id
            ORDER BY
                e.ts DESC,
                CASE WHEN e.session_id IS NULL THEN 0 ELSE 1 END DESC,
                e.session_id DESC,
                CASE WHEN e.item_in_session IS NULL THEN 0 ELSE 1 END DESC,
                e.item_in_session DESC
        ) AS recency
    FROM product.events AS e
    WHERE
        e.user_id IS NOT NULL
        AND e.ts >= :first_day AND e.ts < :end_day
),

free_users AS (
    SELECT
        o.user_id,
        MAX(CASE WHEN o.page = 'Upgrade' THEN 1 ELSE 0 END) AS saw,
        MAX(CASE WHEN o.page = 'Submit Upgrade' THEN 1 ELSE 0 END) AS submitted,
        MAX(CASE WHEN o.recency = 1 AND o.level = 'paid' THEN 1 ELSE 0 END) AS is_paid
    FROM ordered AS o
    GROUP BY o.user_id
    HAVING MAX(CASE WHEN o.level = 'free' THEN 1 ELSE 0 END) = 1
),

stages AS (
    SELECT
        1 AS step,
        'was free' AS stage
    UNION ALL
    SELECT
        2 AS step,
        'saw Upgrade' AS stage
    UNION ALL
    SELECT
        3 AS step,
        'submitted' AS stage
    UNION ALL
    SELECT
        4 AS step,
        'pays at the end' AS stage
),

counts AS (
    SELECT
        s.step,
        s.stage,
        COUNT(
            CASE
                WHEN s.step = 1 THEN 1
                WHEN s.step = 2 AND f.saw = 1 THEN 1
                WHEN s.step = 3 AND f.saw + f.submitted = 2 THEN 1
                WHEN s.step = 4 AND f.saw + f.submitted + f.is_paid = 3 THEN 1
            END
        ) AS users,
        COUNT(*) AS all_users
    FROM free_users AS f
    INNER JOIN stages AS s ON s.step > 0
    GROUP BY s.step, s.stage
)

SELECT
    c.step,
    c.stage,
    c.users,
    CAST(c.users AS DOUBLE PRECISION) / c.all_users AS share
FROM counts AS c
ORDER BY c.step
