-- How much is there in the public month?
--
-- Asked by: The tests, of the app's logs of November 2018.
--
-- Columns:
--   plays        BIGINT  Plays
--   start_times  BIGINT  Distinct times at which one starts
--   listeners    BIGINT  Users with a play
--   sessions     BIGINT  Sessions with a play
SELECT
    COUNT(*) AS plays,
    COUNT(DISTINCT p.start_time) AS start_times,
    COUNT(DISTINCT p.user_id) AS listeners,
    COUNT(DISTINCT p.session_id) AS sessions
FROM songplays AS p
WHERE p.start_time >= :first_day AND p.start_time < :end_day
