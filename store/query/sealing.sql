-- name: AddSealingKey :exec
INSERT INTO sealing_keys (prefix) VALUES ($1) ON CONFLICT (prefix) DO NOTHING;

-- name: SealingKeys :many
SELECT prefix FROM sealing_keys ORDER BY prefix;

-- name: RetireSealingKey :exec
DELETE FROM sealing_keys WHERE prefix = $1;

-- name: ReplaceSetting :execrows
UPDATE settings SET value = $2 WHERE name = $1 AND value = sqlc.arg(former);

-- name: SealedElsewise :many
-- Whatever another key than the given one has sealed.
SELECT CAST('accesses' AS TEXT) AS table_name, accesses.id AS row_id, CAST('credentials' AS TEXT) AS column_name, credentials AS sealed
FROM accesses WHERE length(credentials) > 0 AND substr(credentials, 1, 5) NOT IN (SELECT k.prefix FROM sealing_keys k WHERE k.prefix = sqlc.arg(prefix))
UNION ALL
SELECT 'accesses', accesses.id, 'session', accesses.session
FROM accesses WHERE length(accesses.session) > 0 AND substr(accesses.session, 1, 5) NOT IN (SELECT k.prefix FROM sealing_keys k WHERE k.prefix = sqlc.arg(prefix))
UNION ALL
SELECT 'attempts', attempts.id, 'form', form
FROM attempts WHERE length(form) > 0 AND substr(form, 1, 5) NOT IN (SELECT k.prefix FROM sealing_keys k WHERE k.prefix = sqlc.arg(prefix))
UNION ALL
SELECT 'attempts', attempts.id, 'credentials', attempts.credentials
FROM attempts WHERE length(attempts.credentials) > 0 AND substr(attempts.credentials, 1, 5) NOT IN (SELECT k.prefix FROM sealing_keys k WHERE k.prefix = sqlc.arg(prefix))
UNION ALL
SELECT 'challenges', challenges.id, 'session', challenges.session
FROM challenges WHERE length(challenges.session) > 0 AND substr(challenges.session, 1, 5) NOT IN (SELECT k.prefix FROM sealing_keys k WHERE k.prefix = sqlc.arg(prefix))
UNION ALL
SELECT 'signing_keys', kid, 'sealed', signing_keys.sealed
FROM signing_keys WHERE length(signing_keys.sealed) > 0 AND substr(signing_keys.sealed, 1, 5) NOT IN (SELECT k.prefix FROM sealing_keys k WHERE k.prefix = sqlc.arg(prefix))
UNION ALL
SELECT 'settings', name, 'value', value
FROM settings WHERE name = 'fingerprint_key' AND substr(value, 1, 5) NOT IN (SELECT k.prefix FROM sealing_keys k WHERE k.prefix = sqlc.arg(prefix))
ORDER BY 1, 3, 2 LIMIT sqlc.arg(max_rows);

-- name: ResealCredentials :execrows
UPDATE accesses SET credentials = $1 WHERE id = $2 AND credentials = sqlc.arg(former);

-- name: ResealAccessSession :execrows
UPDATE accesses SET session = $1 WHERE id = $2 AND session = sqlc.arg(former);

-- name: ResealForm :execrows
UPDATE attempts SET form = $1 WHERE id = $2 AND form = sqlc.arg(former);

-- name: ResealAttemptCredentials :execrows
UPDATE attempts SET credentials = $1 WHERE id = $2 AND credentials = sqlc.arg(former);

-- name: ResealChallengeSession :execrows
UPDATE challenges SET session = $1 WHERE id = $2 AND session = sqlc.arg(former);

-- name: ResealSigningKey :execrows
UPDATE signing_keys SET sealed = $1 WHERE kid = $2 AND sealed = sqlc.arg(former);
