-- name: GatewayByHash :one
SELECT * FROM gateways WHERE hash = $1;

-- name: GatewayByFormerHash :one
SELECT * FROM gateways WHERE former_hash = $1 AND former_until <> 0;

-- name: GatewayByName :one
SELECT * FROM gateways WHERE name = $1 AND revoked_at = 0;

-- name: Gateways :many
SELECT * FROM gateways ORDER BY name, created_at;

-- name: InsertGateway :execrows
INSERT INTO gateways (id, name, hash, former_hash, former_until, created_at, revoked_at, epoch, seq, stale_after, software, contact_at, version)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 1) ON CONFLICT DO NOTHING;

-- name: UpdateGateway :execrows
UPDATE gateways SET hash = $1, former_hash = $2, former_until = $3, revoked_at = $4, version = version + 1 WHERE id = $5 AND version = $6;

-- name: NoteContact :exec
UPDATE gateways SET epoch = $1, seq = $2, stale_after = $3, software = $4, contact_at = $5 WHERE id = $6 AND contact_at < $5;

-- name: LastStatusIndex :one
SELECT CAST(COALESCE(MAX(status_index), 0) AS BIGINT) FROM tokens;
