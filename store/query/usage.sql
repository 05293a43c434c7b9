-- name: NoteReport :execrows
INSERT INTO usage_reports (gateway_id, report, at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING;

-- name: AddUses :execrows
INSERT INTO token_usage (token_id, day, uses, last_at)
SELECT tokens.id, CAST(sqlc.arg(day) AS TEXT), CAST(sqlc.arg(uses) AS BIGINT), CAST(sqlc.arg(last_at) AS BIGINT) FROM tokens WHERE tokens.id = sqlc.arg(token_id)
ON CONFLICT (token_id, day) DO UPDATE SET uses = token_usage.uses + excluded.uses,
  last_at = CASE WHEN excluded.last_at > token_usage.last_at THEN excluded.last_at ELSE token_usage.last_at END;

-- name: UsageOfToken :many
SELECT day, uses, last_at FROM token_usage WHERE token_id = $1 AND day >= $2 ORDER BY day;

-- name: LastUse :one
SELECT CAST(COALESCE(MAX(last_at), 0) AS BIGINT) FROM token_usage WHERE token_id = $1;

-- name: ForgetUsage :exec
DELETE FROM token_usage WHERE day < $1;

-- name: ForgetReports :exec
DELETE FROM usage_reports WHERE at < $1;

-- name: LastUseOfRequest :one
SELECT CAST(COALESCE(MAX(token_usage.last_at), 0) AS BIGINT) FROM tokens JOIN token_usage ON token_usage.token_id = tokens.id WHERE tokens.request_id = $1;
