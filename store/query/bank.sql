-- name: LockAccess :one
UPDATE accesses SET version = version WHERE id = $1 RETURNING *;

-- name: AccessByID :one
SELECT * FROM accesses WHERE id = $1;

-- name: AttemptByID :one
SELECT * FROM attempts WHERE id = $1;

-- name: ChallengeByID :one
SELECT * FROM challenges WHERE id = $1;

-- name: LiveAttemptOn :one
SELECT * FROM attempts WHERE fingerprint = $1 AND state IN ('queued', 'running', 'waiting');

-- name: InsertAccess :execrows
INSERT INTO accesses (id, owner, institution, connector, label, locale, credentials, session, session_expires, lent, fingerprint,
  created_at, has_accounts, attempt_id, night_off, pause, next_poll, failures, last_success, trusted_until, version,
  disabled, strong_at, trust_warned)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24)
ON CONFLICT (id) DO NOTHING;

-- name: UpdateAccess :execrows
UPDATE accesses SET label = $1, locale = $2, credentials = $3, session = $4, session_expires = $5, lent = $6, fingerprint = $7,
  has_accounts = $8, attempt_id = $9, night_off = $10, pause = $11, next_poll = $12, failures = $13, last_success = $14,
  trusted_until = $15, disabled = $16, strong_at = $17, trust_warned = $18, version = version + 1
WHERE id = $19 AND version = $20;

-- name: DeleteAccess :execrows
DELETE FROM accesses WHERE id = $1;

-- name: DeleteAttemptsOf :exec
DELETE FROM attempts WHERE access_id = $1;

-- name: PurgeAttempts :execrows
DELETE FROM attempts WHERE ended_at <> 0 AND ended_at < $1
  AND NOT EXISTS (SELECT 1 FROM accesses WHERE accesses.id = attempts.access_id AND accesses.attempt_id = attempts.id);

-- name: LastAttemptOf :one
SELECT * FROM attempts WHERE access_id = $1 ORDER BY created_at DESC, id DESC LIMIT 1;

-- name: InsertAttempt :execrows
INSERT INTO attempts (id, owner, access_id, account_id, purpose, trigger_kind, state, fingerprint, institution, label, form,
  challenge_id, created_at, updated_at, ended_at, worker, epoch, lease_until, phase, done, total, outcome, detail, version,
  credentials)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25)
ON CONFLICT DO NOTHING;

-- name: UpdateAttempt :execrows
UPDATE attempts SET account_id = $1, purpose = $2, trigger_kind = $3, state = $4, form = $5, challenge_id = $6, updated_at = $7,
  ended_at = $8, worker = $9, epoch = $10, lease_until = $11, outcome = $12, detail = $13, credentials = $14, version = version + 1
WHERE id = $15 AND version = $16;

-- name: BeatAttempt :execrows
UPDATE attempts SET lease_until = $1, phase = $2, done = $3, total = $4
WHERE id = $5 AND worker = $6 AND epoch = $7 AND state IN ('running', 'waiting');

-- name: InsertChallenge :execrows
INSERT INTO challenges (id, owner, attempt_id, access_id, seq, status, question, created_at, ended_at, deadline, used, max_answers,
  resends, resending, answer_keys, session, last_outcome, last_text, version)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19);

-- name: UpdateChallenge :execrows
UPDATE challenges SET status = $1, ended_at = $2, used = $3, max_answers = $4, resends = $5, resending = $6, answer_keys = $7,
  session = $8, last_outcome = $9, last_text = $10, version = version + 1
WHERE id = $11 AND version = $12;

-- name: AccessesOf :many
SELECT * FROM accesses WHERE owner = $1 ORDER BY id;

-- name: AttemptsOfAccesses :many
SELECT attempts.* FROM accesses JOIN attempts ON attempts.id = accesses.attempt_id WHERE accesses.owner = $1;

-- name: ChallengesOfAccesses :many
SELECT challenges.* FROM accesses
JOIN attempts ON attempts.id = accesses.attempt_id
JOIN challenges ON challenges.id = attempts.challenge_id
WHERE accesses.owner = $1;

-- name: AccountsOfAccess :many
SELECT * FROM accounts WHERE access_id = $1 ORDER BY id;

-- name: AccountsOf :many
SELECT accounts.* FROM accesses JOIN accounts ON accounts.access_id = accesses.id
WHERE accesses.owner = $1 AND (CAST(sqlc.arg(account_id) AS TEXT) = '' OR accounts.id = sqlc.arg(account_id))
ORDER BY accesses.id, accounts.id;

-- name: InsertAccount :exec
INSERT INTO accounts (id, access_id, ref, kind, subtype, label, iban, number, parent, balance, currency, as_of, missing)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13);

-- name: UpdateAccount :exec
UPDATE accounts SET ref = $1, kind = $2, subtype = $3, label = $4, iban = $5, number = $6, parent = $7, balance = $8,
  currency = $9, as_of = $10, missing = $11
WHERE id = $12;

-- name: KnownTransactions :many
SELECT * FROM transactions WHERE account_id = $1 AND (day >= $2 OR status <> 'booked') ORDER BY id;

-- name: TransactionPage :many
SELECT * FROM transactions
WHERE account_id = $1 AND (day, id) < (CAST(sqlc.arg(before_day) AS TEXT), CAST(sqlc.arg(before_id) AS TEXT))
ORDER BY day DESC, id DESC LIMIT sqlc.arg(max_rows);

-- name: InsertTransaction :exec
INSERT INTO transactions (id, account_id, ref, status, type, amount, currency, original_amount, original_currency, raw_label, label,
  booked_on, done_on, value_on, seen_on, day)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16);

-- name: UpdateTransaction :exec
UPDATE transactions SET ref = $1, status = $2, type = $3, amount = $4, currency = $5, original_amount = $6, original_currency = $7,
  raw_label = $8, label = $9, booked_on = $10, done_on = $11, value_on = $12, day = $13
WHERE id = $14;

-- name: StaleOf :many
-- What a person's page load must look at.
SELECT accesses.id FROM accesses
LEFT JOIN attempts ON attempts.id = accesses.attempt_id
LEFT JOIN challenges ON challenges.id = attempts.challenge_id
WHERE accesses.owner = sqlc.arg(owner) AND (
     attempts.state = 'waiting' AND challenges.status = 'open' AND challenges.deadline <= CAST(sqlc.arg(now) AS BIGINT)
  OR attempts.state = 'queued' AND attempts.updated_at < CAST(sqlc.arg(queued_since) AS BIGINT)
  OR attempts.state IN ('running', 'waiting') AND attempts.worker <> '' AND attempts.lease_until <= CAST(sqlc.arg(now) AS BIGINT)
  OR NOT accesses.has_accounts AND (attempts.id IS NULL OR attempts.ended_at <> 0)
  OR CAST(sqlc.arg(drafts) AS BIGINT) <> 0 AND NOT accesses.has_accounts AND attempts.state = 'waiting')
ORDER BY accesses.id LIMIT sqlc.arg(max_rows);

-- name: StaleAccesses :many
-- The same of everyone, every few seconds: from indexes of what may be stale, so
-- that what only waits is not read.
SELECT id FROM accesses WHERE id IN (
  SELECT access_id FROM challenges WHERE status = 'open' AND deadline <= CAST(sqlc.arg(now) AS BIGINT)
  UNION SELECT access_id FROM attempts WHERE state = 'queued' AND updated_at < CAST(sqlc.arg(queued_since) AS BIGINT)
  UNION SELECT access_id FROM attempts WHERE worker <> '' AND lease_until <= CAST(sqlc.arg(now) AS BIGINT)
  UNION SELECT drafts.id FROM accesses drafts WHERE NOT drafts.has_accounts
    AND NOT EXISTS (SELECT 1 FROM attempts live WHERE live.access_id = drafts.id AND live.ended_at = 0))
ORDER BY id LIMIT sqlc.arg(max_rows);

-- name: PollableAccesses :many
-- Nobody's bank is asked, and nobody is written to, for somebody who may not sign in.
SELECT accesses.id FROM accesses LEFT JOIN attempts ON attempts.id = accesses.attempt_id
WHERE accesses.next_poll <> 0 AND accesses.next_poll <= CAST(sqlc.arg(now) AS BIGINT)
  AND accesses.has_accounts AND NOT accesses.disabled AND NOT accesses.night_off AND NOT accesses.lent AND accesses.pause = ''
  AND (attempts.id IS NULL OR attempts.ended_at <> 0)
  AND NOT EXISTS (SELECT 1 FROM people WHERE people.id = accesses.owner AND people.disabled_at <> 0)
ORDER BY accesses.next_poll, accesses.id LIMIT sqlc.arg(max_rows);

-- name: TrustEnding :many
SELECT accesses.id FROM accesses
WHERE trusted_until <> 0 AND trusted_until > sqlc.arg(from_instant) AND trusted_until <= sqlc.arg(to_instant) AND pause = '' AND NOT disabled AND NOT lent AND accesses.id > sqlc.arg(after)
  AND NOT EXISTS (SELECT 1 FROM people WHERE people.id = accesses.owner AND people.disabled_at <> 0)
ORDER BY accesses.id LIMIT sqlc.arg(max_rows);

-- name: MovedAttempts :many
SELECT * FROM attempts WHERE owner = $1 AND updated_at > $2 ORDER BY updated_at, id LIMIT 500;
