-- Which three users play most in the public month?
--
-- Asked by: The tests, of the app's logs of November 2018.
--
-- Columns:
--   user_id  BIGINT  User
--   plays    BIGINT  Plays
SELECT
    p.user_id,
    COUNT(*) AS plays
FROM songplays AS p
WHERE p.start_time >= :first_day AND p.start_time < :end_day
GROUP BY p.user_id
ORDER BY plays DESC, p.user_id ASC
LIMIT 3
