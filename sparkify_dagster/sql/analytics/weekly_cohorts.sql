-- How long do listeners stay?
--
-- Asked by: Product, after each release.
-- A cohort consists of the listeners whose first play in the period was in the same ISO week, UTC. A week in which no
-- listener of the cohort played anything has no row.
--
-- Columns:
--   cohort       DATE          Monday of the week of the listeners' first play
--   weeks_later  INTEGER       Weeks since then, from 0
--   listeners    BIGINT        Listeners of the cohort with a play in that week
--   share        DECIMAL(7,4)  Share of the cohort, 0 to 1
--
-- Chart: heat map of share by weeks_later and cohort
WITH weeks AS (
    SELECT DISTINCT
        p.user_id,
        CAST(DATE_TRUNC('week', p.start_time) AS DATE) AS week
    FROM songplays AS p
    WHERE p.start_time >= :first_day AND p.start_time < :end_day
),

cohorts AS (
    SELECT
        w.user_id,
        MIN(w.week) AS cohort
    FROM weeks AS w
    GROUP BY w.user_id
),

sizes AS (
    SELECT
        c.cohort,
        COUNT(*) AS listeners
    FROM cohorts AS c
    GROUP BY c.cohort
)

SELECT
    c.cohort,
    CAST(w.week - c.cohort AS DOUBLE PRECISION) / 7 AS weeks_later,
    COUNT(*) AS listeners,
    CAST(COUNT(*) AS DOUBLE PRECISION) / s.listeners AS share
FROM weeks AS w
INNER JOIN cohorts AS c ON w.user_id = c.user_id
INNER JOIN sizes AS s ON c.cohort = s.cohort
GROUP BY c.cohort, w.week, s.listeners
ORDER BY c.cohort, weeks_later
