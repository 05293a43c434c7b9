-- name: BeginNotice :one
INSERT INTO notices (id, provider, type, external_id, body, made_at, state, attempts, round, next_at, delivered_at, code, problem)
VALUES ($1, $2, $3, $4, $5, $6, 'waiting', 1, 1, 0, 0, 0, '')
ON CONFLICT (id) DO UPDATE SET attempts = notices.attempts + 1, round = notices.round + 1
WHERE notices.state = 'waiting'
RETURNING *;

-- name: BeginNoticeAttempt :exec
INSERT INTO notice_attempts (notice_id, n, began_at, ended_at, code, problem) VALUES ($1, $2, $3, 0, 0, '');

-- name: EndNotice :exec
UPDATE notices SET state = $3, next_at = $4, delivered_at = $5, code = $6, problem = $7 WHERE id = $1 AND attempts = $2;

-- name: EndNoticeAttempt :exec
UPDATE notice_attempts SET ended_at = $3, code = $4, problem = $5 WHERE notice_id = $1 AND n = $2;

-- name: NoticeByID :one
SELECT * FROM notices WHERE id = $1;

-- name: Notices :many
SELECT * FROM notices
WHERE provider = sqlc.arg(provider) AND (CAST(sqlc.arg(state) AS TEXT) = '' OR state = sqlc.arg(state)) AND (CAST(sqlc.arg(before_id) AS TEXT) = '' OR id < sqlc.arg(before_id))
ORDER BY id DESC LIMIT sqlc.arg(max_rows);

-- name: NoticeAttempts :many
SELECT * FROM notice_attempts WHERE notice_id = $1 ORDER BY n DESC LIMIT 100;

-- name: UnattemptedNotices :one
SELECT COUNT(*) FROM jobs WHERE kind = 'notice' AND state <> 'dead' AND attempt = 0 AND args LIKE $1;

-- name: AgainNotice :exec
UPDATE notices SET state = 'waiting', round = 0, next_at = $2 WHERE id = $1;

-- name: HurryNotice :execrows
UPDATE jobs SET run_at = $2 WHERE kind = 'notice' AND job_key = $1 AND state = 'ready';

-- name: ProviderSecrets :many
SELECT * FROM provider_secrets;

-- name: NoteSecretUse :exec
INSERT INTO provider_secrets (provider, mark, last_used_at, ended_at, ended_by) VALUES ($1, $2, $3, 0, '')
ON CONFLICT (provider, mark) DO UPDATE SET last_used_at = $3 WHERE provider_secrets.last_used_at < $3;

-- name: EndSecret :execrows
INSERT INTO provider_secrets (provider, mark, last_used_at, ended_at, ended_by) VALUES ($1, $2, 0, $3, $4)
ON CONFLICT (provider, mark) DO UPDATE SET ended_at = $3, ended_by = $4 WHERE provider_secrets.ended_at = 0;

-- name: ForgetNoticeAttempts :exec
DELETE FROM notice_attempts WHERE notice_id IN (SELECT id FROM notices WHERE state <> 'waiting' AND made_at < $1);

-- name: ForgetNotices :exec
DELETE FROM notices WHERE state <> 'waiting' AND made_at < $1;
