-- name: AllClients :many
SELECT * FROM clients ORDER BY created_at, id;

-- name: ClientByID :one
SELECT * FROM clients WHERE id = $1;

-- name: InsertClient :execrows
INSERT INTO clients (id, name, secret_hash, provider, token_id, may_introspect, may_revoke, created_at, revoked_at, last_used_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, 0);

-- name: RevokeClient :execrows
UPDATE clients SET revoked_at = $2 WHERE id = $1 AND revoked_at = 0;

-- name: NoteClientUse :exec
UPDATE clients SET last_used_at = $2 WHERE id = $1 AND last_used_at < $2;

-- name: HighestIndex :one
SELECT CAST(COALESCE(MAX(status_index), 0) AS BIGINT) FROM tokens;

-- name: AddSigningKey :execrows
INSERT INTO signing_keys (kid, algorithm, purpose, public, sealed, created_at, retired_at, use_at)
VALUES ($1, $2, $3, $4, $5, $6, 0, $7) ON CONFLICT (kid) DO NOTHING;

-- name: UseSigningKey :execrows
UPDATE signing_keys SET use_at = $2 WHERE kid = $1 AND burned_at = 0 AND use_at > $2;

-- name: BurnSigningKey :execrows
UPDATE signing_keys SET burned_at = $2, burn_reason = $3 WHERE kid = $1 AND burned_at = 0;
