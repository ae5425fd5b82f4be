-- One row per distinct start time of a play, with its parts.
SELECT DISTINCT
    p.start_time,
    EXTRACT(HOUR FROM p.start_time) AS hour,
    EXTRACT(DAY FROM p.start_time) AS day,
    EXTRACT(WEEK FROM p.start_time) AS week,
    EXTRACT(MONTH FROM p.start_time) AS month,
    EXTRACT(YEAR FROM p.start_time) AS year,
    EXTRACT(DOW FROM p.start_time) AS weekday
FROM songplays AS p
WHERE p.start_time >= :first_day AND p.start_time < :end_day
