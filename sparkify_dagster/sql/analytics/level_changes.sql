-- Who upgraded or downgraded, and when?
--
-- Asked by: Finance, for reconciliation with the payments.
-- A change is dated by the user's first event at the new level, of any page.
--
-- Columns:
--   changed_at  TIMESTAMP      Time of the first event at the new level, UTC
--   user_id     BIGINT         User
--   first_name  VARCHAR(1024)  User's first name
--   last_name   VARCHAR(1024)  User's last name
--   old_level   VARCHAR(64)    free or paid
--   new_level   VARCHAR(64)    free or paid
SELECT
    l.valid_from AS changed_at,
    l.user_id,
    u.first_name,
    u.last_name,
    b.level AS old_level,
    l.level AS new_level
FROM product.user_levels AS l
INNER JOIN product.user_levels AS b ON l.user_id = b.user_id AND l.version = b.version + 1
INNER JOIN users AS u ON l.user_id = u.user_id
WHERE l.valid_from >= :first_day AND l.valid_from < :end_day
ORDER BY changed_at, l.user_id, old_level
