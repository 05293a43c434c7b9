-- name: LockReconciliation :one
INSERT INTO reconciliations (provider, run_id, state, worker, started_at, beat_at, ended_at, position, listed, seen, opened, failure, done_at, version)
VALUES ($1, '', '', '', 0, 0, 0, 0, FALSE, 0, 0, '', 0, 1)
ON CONFLICT (provider) DO UPDATE SET provider = excluded.provider RETURNING *;

-- name: Reconciliations :many
SELECT * FROM reconciliations WHERE run_id <> '' ORDER BY provider;

-- name: SaveReconciliation :execrows
UPDATE reconciliations SET run_id = $3, state = $4, worker = $5, started_at = $6, beat_at = $7, ended_at = $8, position = $9, listed = $10,
  seen = $11, opened = $12, failure = $13, done_at = $14, version = version + 1
WHERE provider = $1 AND version = $2;

-- name: InsertDrift :execrows
INSERT INTO drifts (id, provider, external_id, kind, what, repair, event, event_id, event_at, theirs, ours, tokens, state, opened_at, seen_at,
  closed_at, closed_by, reason, alerted, version)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, 1)
ON CONFLICT (provider, external_id, kind, what) WHERE state IN ('open', 'dismissed') DO NOTHING;

-- name: UpdateDrift :execrows
UPDATE drifts SET repair = $3, event = $4, event_id = $5, event_at = $6, theirs = $7, ours = $8, tokens = $9, state = $10, seen_at = $11,
  closed_at = $12, closed_by = $13, reason = $14, alerted = $15, version = version + 1
WHERE id = $1 AND version = $2;

-- name: StandingDrifts :many
SELECT * FROM drifts WHERE provider = $1 AND external_id = $2 AND state IN ('open', 'dismissed') ORDER BY id;

-- name: Drifts :many
SELECT * FROM drifts
WHERE state = $1 AND (CAST(sqlc.arg(provider) AS TEXT) = '' OR provider = sqlc.arg(provider)) AND id < CAST(sqlc.arg(before_id) AS TEXT)
ORDER BY id DESC LIMIT sqlc.arg(max_rows);

-- name: DriftByID :one
SELECT * FROM drifts WHERE id = $1;

-- name: SeeRequest :exec
INSERT INTO reconcile_seen (provider, external_id, run_id) VALUES ($1, $2, $3)
ON CONFLICT (provider, external_id) DO UPDATE SET run_id = excluded.run_id;

-- name: UnseenRequests :many
SELECT requests.external_id FROM requests
WHERE requests.provider = sqlc.arg(provider) AND requests.external_id > CAST(sqlc.arg(after) AS TEXT)
  AND EXISTS (SELECT 1 FROM tokens WHERE tokens.request_id = requests.id AND tokens.blocked_at = 0)
  AND NOT EXISTS (SELECT 1 FROM reconcile_seen AS s WHERE s.provider = requests.provider AND s.external_id = requests.external_id AND s.run_id = CAST(sqlc.arg(run) AS TEXT))
UNION
SELECT drifts.external_id FROM drifts
WHERE drifts.provider = sqlc.arg(provider) AND drifts.external_id > CAST(sqlc.arg(after) AS TEXT) AND drifts.state IN ('open', 'dismissed')
  AND NOT EXISTS (SELECT 1 FROM reconcile_seen AS s WHERE s.provider = drifts.provider AND s.external_id = drifts.external_id AND s.run_id = CAST(sqlc.arg(run) AS TEXT))
ORDER BY 1 LIMIT sqlc.arg(max_rows);

-- name: CountUnseen :one
SELECT COUNT(*) AS with_tokens,
  CAST(COALESCE(SUM(CASE WHEN s.run_id = CAST(sqlc.arg(run) AS TEXT) THEN 0 ELSE 1 END), 0) AS BIGINT) AS unseen
FROM requests LEFT JOIN reconcile_seen AS s ON s.provider = requests.provider AND s.external_id = requests.external_id
WHERE requests.provider = sqlc.arg(provider) AND EXISTS (SELECT 1 FROM tokens WHERE tokens.request_id = requests.id AND tokens.blocked_at = 0);

-- name: FirstDelivery :one
-- Identifiers begin with the instant they were made at.
SELECT received_at FROM deliveries WHERE provider = $1 AND actor_kind = 'source' ORDER BY id LIMIT 1;
