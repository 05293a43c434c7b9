-- name: Person :one
SELECT * FROM people WHERE id = $1;

-- name: PersonByEmail :one
SELECT * FROM people WHERE email = $1;

-- name: People :many
SELECT * FROM people ORDER BY email;

-- name: InsertPerson :execrows
INSERT INTO people (id, email, name, role, language, password_hash, password_set_at, created_at, disabled_at, version)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1) ON CONFLICT DO NOTHING;

-- name: UpdatePerson :execrows
UPDATE people SET name = $1, role = $2, language = $3, password_hash = $4, password_set_at = $5, disabled_at = $6, version = version + 1
WHERE id = $7 AND version = $8;

-- name: APIToken :one
SELECT * FROM api_tokens WHERE id = $1;

-- name: APITokenByHash :one
SELECT * FROM api_tokens WHERE hash = $1;

-- name: APITokensOf :many
SELECT * FROM api_tokens WHERE person_id = $1 ORDER BY id DESC;

-- name: InsertAPIToken :execrows
INSERT INTO api_tokens (id, person_id, name, hash, created_at, last_used_at, revoked_at, version)
VALUES ($1, $2, $3, $4, $5, $6, $7, 1) ON CONFLICT DO NOTHING;

-- name: UpdateAPIToken :execrows
UPDATE api_tokens SET name = $1, last_used_at = $2, revoked_at = $3, version = version + 1 WHERE id = $4 AND version = $5;

-- name: Setup :one
SELECT hash, created_at, done, version FROM setup WHERE id = 1;

-- name: InsertSetup :execrows
INSERT INTO setup (id, hash, created_at, done, version) VALUES (1, $1, $2, $3, 1) ON CONFLICT (id) DO NOTHING;

-- name: UpdateSetup :execrows
UPDATE setup SET hash = $1, created_at = $2, done = $3, version = version + 1 WHERE id = 1 AND version = $4;

-- name: LockFailures :one
INSERT INTO sign_in_failures (key, number, last_at) VALUES ($1, 0, 0)
ON CONFLICT (key) DO UPDATE SET number = sign_in_failures.number
RETURNING key, number, last_at;

-- name: SaveFailures :exec
UPDATE sign_in_failures SET number = $2, last_at = $3 WHERE key = $1;

-- name: ForgetFailures :exec
DELETE FROM sign_in_failures WHERE number = 0 OR last_at < $1;

-- name: FindSession :one
SELECT data FROM sessions WHERE hash = $1 AND expires_at > $2;

-- name: PutSession :exec
INSERT INTO sessions (hash, data, expires_at) VALUES ($1, $2, $3)
ON CONFLICT (hash) DO UPDATE SET data = excluded.data, expires_at = excluded.expires_at;

-- name: DropSession :exec
DELETE FROM sessions WHERE hash = $1;

-- name: DropSessions :exec
DELETE FROM sessions WHERE expires_at <= $1;

-- name: Sessions :many
SELECT hash, data FROM sessions WHERE expires_at > $1;
