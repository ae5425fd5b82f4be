-- A warehouse as version 0.1.0 made it: a day, a day that was rejected later, a song, and the result of a query.
CREATE TABLE artists ( artist_id VARCHAR(64) NOT NULL, name VARCHAR(1024), location VARCHAR(1024), latitude NUMERIC(9, 6), longitude NUMERIC(9, 6) );
CREATE TABLE songplays ( songplay_id VARCHAR(32) NOT NULL, start_time TIMESTAMP WITHOUT TIME ZONE NOT NULL, user_id BIGINT NOT NULL, level VARCHAR(64), song_id VARCHAR(64), artist_id VARCHAR(64), session_id BIGINT NOT NULL, location VARCHAR(1024), user_agent VARCHAR(1024), song VARCHAR(1024), artist VARCHAR(1024), length NUMERIC(10, 5) );
CREATE TABLE songs ( song_id VARCHAR(64) NOT NULL, title VARCHAR(1024), artist_id VARCHAR(64) NOT NULL, year INTEGER, duration NUMERIC(10, 5) );
CREATE TABLE staging.answered_questions ( question VARCHAR(64) NOT NULL, definition VARCHAR(64) NOT NULL, version VARCHAR(64) NOT NULL, answered_at TIMESTAMP WITHOUT TIME ZONE NOT NULL );
CREATE TABLE staging.load_errors ( key VARCHAR(1024) NOT NULL, line_number BIGINT, log_date DATE, column_name VARCHAR(64), reason VARCHAR(1024) NOT NULL, raw_text VARCHAR(4000), loaded_at TIMESTAMP WITHOUT TIME ZONE NOT NULL );
CREATE TABLE staging.loaded_objects ( key VARCHAR(1024) NOT NULL, log_date DATE, etag VARCHAR(256), bytes BIGINT NOT NULL, lines BIGINT NOT NULL, staged BIGINT NOT NULL, duplicates BIGINT NOT NULL, errors BIGINT NOT NULL, loaded_at TIMESTAMP WITHOUT TIME ZONE NOT NULL, read_by VARCHAR(64) NOT NULL );
CREATE TABLE staging.pending_rematch ( log_date DATE NOT NULL );
CREATE TABLE staging.refused_loads ( log_date DATE, errors BIGINT NOT NULL, max_load_errors BIGINT NOT NULL, refused_at TIMESTAMP WITHOUT TIME ZONE NOT NULL );
CREATE TABLE staging.staging_events ( artist VARCHAR(1024), auth VARCHAR(64), first_name VARCHAR(1024), gender VARCHAR(64), item_in_session INTEGER, last_name VARCHAR(1024), length NUMERIC(10, 5), level VARCHAR(64), location VARCHAR(1024), method VARCHAR(64), page VARCHAR(64) NOT NULL, registration TIMESTAMP WITHOUT TIME ZONE, session_id BIGINT, song VARCHAR(1024), status INTEGER, ts TIMESTAMP WITHOUT TIME ZONE NOT NULL, user_agent VARCHAR(1024), user_id BIGINT, log_date DATE NOT NULL, epoch_ms BIGINT NOT NULL, match_song VARCHAR(1024), match_artist VARCHAR(1024) );
CREATE TABLE staging.staging_songs ( num_songs INTEGER, artist_id VARCHAR(64) NOT NULL, artist_latitude NUMERIC(9, 6), artist_longitude NUMERIC(9, 6), artist_location VARCHAR(1024), artist_name VARCHAR(1024), song_id VARCHAR(64) NOT NULL, title VARCHAR(1024), duration NUMERIC(10, 5), year INTEGER, source_key VARCHAR(1024) NOT NULL, object_number INTEGER NOT NULL, match_title VARCHAR(1024), match_artist VARCHAR(1024) );
CREATE TABLE staging.user_days ( user_id BIGINT NOT NULL, log_date DATE NOT NULL, first_name VARCHAR(1024), last_name VARCHAR(1024), gender VARCHAR(64), level VARCHAR(64), ts TIMESTAMP WITHOUT TIME ZONE NOT NULL, session_id BIGINT, item_in_session INTEGER );
CREATE TABLE time ( start_time TIMESTAMP WITHOUT TIME ZONE NOT NULL, hour SMALLINT NOT NULL, day SMALLINT NOT NULL, week SMALLINT NOT NULL, month SMALLINT NOT NULL, year SMALLINT NOT NULL, weekday SMALLINT NOT NULL );
CREATE TABLE users ( user_id BIGINT NOT NULL, first_name VARCHAR(1024), last_name VARCHAR(1024), gender VARCHAR(64), level VARCHAR(64) );
COMMENT ON COLUMN artists.artist_id IS 'Artist';
COMMENT ON COLUMN songplays.songplay_id IS 'MD5 of the event''s identity, the same after every reload';
COMMENT ON COLUMN songs.song_id IS 'Song';
COMMENT ON COLUMN time.start_time IS 'When a song started, UTC, to the millisecond';
COMMENT ON COLUMN users.user_id IS 'User';
CREATE VIEW staging.catalogue AS
-- One row a song_id: where several objects hold one, the object whose key sorts last wins.
SELECT
    w.song_id,
    w.title,
    w.artist_id,
    w.artist_name,
    w.artist_location,
    w.artist_latitude,
    w.artist_longitude,
    w.year,
    w.duration,
    w.match_title,
    w.match_artist
FROM (
    SELECT
        s.song_id,
        s.title,
        s.artist_id,
        s.artist_name,
        s.artist_location,
        s.artist_latitude,
        s.artist_longitude,
        s.year,
        s.duration,
        s.match_title,
        s.match_artist,
        ROW_NUMBER() OVER (
            PARTITION BY s.song_id
            ORDER BY s.source_key DESC, s.object_number DESC
        ) AS recency
    FROM staging.staging_songs AS s
) AS w
WHERE w.recency = 1;
CREATE VIEW staging.song_matches AS
-- Which song a title, artist and length mean: of several songs that carry all three, the smallest song_id.
SELECT
    m.match_title,
    m.match_artist,
    m.duration,
    m.song_id,
    m.artist_id
FROM (
    SELECT
        c.match_title,
        c.match_artist,
        c.duration,
        c.song_id,
        c.artist_id,
        ROW_NUMBER() OVER (
            PARTITION BY c.match_title, c.match_artist, c.duration
            ORDER BY c.song_id
        ) AS preference
    FROM staging.catalogue AS c
    WHERE
        c.match_title IS NOT NULL
        AND c.match_artist IS NOT NULL
        AND c.duration IS NOT NULL
) AS m
WHERE m.preference = 1;
INSERT INTO artists VALUES ('ARMJAGH1187FB546F3', 'Des''ree', 'Memphis, TN', 35.149680, -90.048920);
INSERT INTO songplays VALUES ('03ff65170dfd0c9bf19e04addc2f6036', TIMESTAMP '2018-11-01 10:00:00.796', 8, 'free', 'SOCIWDW12A8C13D406', 'ARMJAGH1187FB546F3', 139, 'Phoenix-Mesa-Scottsdale, AZ', '"Mozilla/5.0 (Windows NT 6.1; WOW64)"', 'You Gotta Be', 'Des''ree', 246.30812);
INSERT INTO songplays VALUES ('a9d2d34960567201880c7ace90104f9c', TIMESTAMP '2018-11-02 10:00:00.000', 8, 'free', 'SOCIWDW12A8C13D406', 'ARMJAGH1187FB546F3', 139, 'Phoenix-Mesa-Scottsdale, AZ', '"Mozilla/5.0 (Windows NT 6.1; WOW64)"', 'You Gotta Be', 'Des''ree', 246.30812);
INSERT INTO songs VALUES ('SOCIWDW12A8C13D406', 'You Gotta Be', 'ARMJAGH1187FB546F3', 1994, 246.30812);
INSERT INTO staging.load_errors VALUES ('2018/11/2018-11-01-events.json', 3, DATE '2018-11-01', NULL, 'not JSON: Expecting value at character 1', 'not JSON', TIMESTAMP '2026-11-26 12:38:45.150');
INSERT INTO staging.load_errors VALUES ('2018/11/2018-11-02-events.json', 1, DATE '2018-11-02', NULL, 'not JSON: Expecting value at character 1', 'broken', TIMESTAMP '2026-11-26 12:38:45.538');
INSERT INTO staging.load_errors VALUES ('2018/11/2018-11-02-events.json', 2, DATE '2018-11-02', NULL, 'not JSON: Expecting value at character 1', 'and broken', TIMESTAMP '2026-11-26 12:38:45.538');
INSERT INTO staging.loaded_objects VALUES ('2018/11/2018-11-01-events.json', DATE '2018-11-01', '25a093-18eb98a818639023-341', 833, 3, 2, 0, 1, TIMESTAMP '2026-11-26 12:38:45.138', '1-a3230195ce1b36b3');
INSERT INTO staging.loaded_objects VALUES ('2018/11/2018-11-02-events.json', DATE '2018-11-02', '25a0a3-18eb98a81866789e-1a8', 424, 1, 1, 0, 0, TIMESTAMP '2026-11-26 12:38:45.138', '1-a3230195ce1b36b3');
INSERT INTO staging.loaded_objects VALUES ('A/B/C/TRABC.json', NULL, '25a0e4-18eb98a8186acec9-10a', 266, 1, 1, 0, 0, TIMESTAMP '2026-11-26 12:38:45.199', '1');
INSERT INTO staging.refused_loads VALUES (DATE '2018-11-02', 2, 1, TIMESTAMP '2026-11-26 12:38:45.545');
INSERT INTO staging.staging_events VALUES ('Des''ree', 'Logged In', 'Kaylee', 'F', 1, 'Summers', 246.30812, 'free', 'Phoenix-Mesa-Scottsdale, AZ', 'PUT', 'NextSong', TIMESTAMP '2018-10-24 01:33:14.796', 139, 'You Gotta Be', 200, TIMESTAMP '2018-11-01 10:00:00.796', '"Mozilla/5.0 (Windows NT 6.1; WOW64)"', 8, DATE '2018-11-01', 1541066400796, 'You Gotta Be', 'Des''ree');
INSERT INTO staging.staging_events VALUES (NULL, 'Logged In', 'Kaylee', 'F', 2, 'Summers', NULL, 'free', 'Phoenix-Mesa-Scottsdale, AZ', 'PUT', 'Home', TIMESTAMP '2018-10-24 01:33:14.796', 139, NULL, 200, TIMESTAMP '2018-11-01 10:00:00.796', '"Mozilla/5.0 (Windows NT 6.1; WOW64)"', 8, DATE '2018-11-01', 1541066400796, NULL, NULL);
INSERT INTO staging.staging_events VALUES ('Des''ree', 'Logged In', 'Kaylee', 'F', 1, 'Summers', 246.30812, 'free', 'Phoenix-Mesa-Scottsdale, AZ', 'PUT', 'NextSong', TIMESTAMP '2018-10-24 01:33:14.796', 139, 'You Gotta Be', 200, TIMESTAMP '2018-11-02 10:00:00.000', '"Mozilla/5.0 (Windows NT 6.1; WOW64)"', 8, DATE '2018-11-02', 1541152800000, 'You Gotta Be', 'Des''ree');
INSERT INTO staging.staging_songs VALUES (1, 'ARMJAGH1187FB546F3', 35.149680, -90.048920, 'Memphis, TN', 'Des''ree', 'SOCIWDW12A8C13D406', 'You Gotta Be', 246.30812, 1994, 'A/B/C/TRABC.json', 1, 'You Gotta Be', 'Des''ree');
INSERT INTO staging.user_days VALUES (8, DATE '2018-11-01', 'Kaylee', 'Summers', 'F', 'free', TIMESTAMP '2018-11-01 10:00:00.796', 139, 2);
INSERT INTO staging.user_days VALUES (8, DATE '2018-11-02', 'Kaylee', 'Summers', 'F', 'free', TIMESTAMP '2018-11-02 10:00:00.000', 139, 1);
INSERT INTO time VALUES (TIMESTAMP '2018-11-01 10:00:00.796', 10, 1, 44, 11, 2018, 4);
INSERT INTO time VALUES (TIMESTAMP '2018-11-02 10:00:00.000', 10, 2, 44, 11, 2018, 5);
INSERT INTO users VALUES (8, 'Kaylee', 'Summers', 'F', 'free');
CREATE TABLE analytics.songs_the_catalogue_lacks ( title VARCHAR(1024), plays BIGINT );
INSERT INTO analytics.songs_the_catalogue_lacks VALUES ('Sehr kosmisch', 1);
INSERT INTO staging.answered_questions VALUES ('songs_the_catalogue_lacks', 'a definition', 'a version', TIMESTAMP '2026-11-26 12:38:46.000');
