-- One row per user and UTC day with an event.
WITH
-- Trailing blanks are removed.
user_events AS (
    SELECT
        e.user_id,
        e.log_date,
        e.session_id,
        RTRIM(e.page, ' ') AS page,
        RTRIM(e.level, ' ') AS level,
        e.status,
        e.length,
        e.match_song,
        e.match_artist,
        -- Warehouses sort NULL differently; here it is the lowest value.
        ROW_NUMBER() OVER (
            PARTITION BY e.user_id, e.log_date
            ORDER BY
                e.ts DESC,
                CASE WHEN e.session_id IS NULL THEN 0 ELSE 1 END DESC,
                e.session_id DESC,
                CASE WHEN e.item_in_session IS NULL THEN 0 ELSE 1 END DESC,
                e.item_in_session DESC
        ) AS recency
    FROM staging.staging_events AS e
    WHERE
        e.user_id IS NOT NULL
        AND e.log_date BETWEEN :first_day AND :last_day
),

-- Redshift has no COUNT(DISTINCT a, b). DISTINCT keeps a missing title or artist as a value.
songs_played AS (
    SELECT
        p.user_id,
        p.log_date,
        COUNT(*) AS songs,
        COUNT(DISTINCT p.match_artist) AS artists
    FROM (
        SELECT DISTINCT
            u.user_id,
            u.log_date,
            u.match_song,
            u.match_artist
        FROM user_events AS u
        WHERE u.page = 'NextSong'
    ) AS p
    GROUP BY p.user_id, p.log_date
),

activity AS (
    SELECT
        u.user_id,
        u.log_date,
        MAX(CASE WHEN u.recency = 1 THEN u.level END) AS level_at_end,
        COUNT(DISTINCT u.session_id) AS sessions,
        COUNT(*) AS events,
        COUNT(CASE WHEN u.page = 'NextSong' THEN 1 END) AS plays,
        COALESCE(SUM(CASE WHEN u.page = 'NextSong' THEN u.length END), 0) AS seconds_played,
        COUNT(CASE WHEN u.status >= 400 THEN 1 END) AS errors,
        COUNT(CASE WHEN u.page = 'Upgrade' THEN 1 END) AS upgrades_seen,
        COUNT(CASE WHEN u.page = 'Submit Upgrade' THEN 1 END) AS upgrades,
        COUNT(CASE WHEN u.page = 'Downgrade' THEN 1 END) AS downgrades_seen,
        COUNT(CASE WHEN u.page = 'Submit Downgrade' THEN 1 END) AS downgrades,
        COUNT(CASE WHEN u.page = 'Roll Advert' THEN 1 END) AS adverts,
        COUNT(CASE WHEN u.page = 'Thumbs Up' THEN 1 END) AS thumbs_up,
        COUNT(CASE WHEN u.page = 'Thumbs Down' THEN 1 END) AS thumbs_down,
        COUNT(CASE WHEN u.page = 'Add to Playlist' THEN 1 END) AS playlist_adds,
        COUNT(CASE WHEN u.page = 'Add Friend' THEN 1 END) AS friend_adds,
        COUNT(CASE WHEN u.page = 'Help' THEN 1 END) AS help,
        COUNT(CASE WHEN u.page = 'Cancellation Confirmation' THEN 1 END) AS cancelled
    FROM user_events AS u
    GROUP BY u.user_id, u.log_date
)

SELECT
    a.user_id,
    a.log_date AS day,
    a.level_at_end,
    a.sessions,
    a.events,
    a.plays,
    a.seconds_played,
    COALESCE(s.songs, 0) AS songs,
    COALESCE(s.artists, 0) AS artists,
    a.errors,
    a.upgrades_seen,
    a.upgrades,
    a.downgrades_seen,
    a.downgrades,
    a.adverts,
    a.thumbs_up,
    a.thumbs_down,
    a.playlist_adds,
    a.friend_adds,
    a.help,
    a.cancelled
FROM activity AS a
LEFT JOIN songs_played AS s ON a.user_id = s.user_id AND a.log_date = s.log_date
