-- name: Queued :many
SELECT request_id FROM request_queue ORDER BY request_id LIMIT $1;

-- name: CountQueued :one
SELECT COUNT(*) FROM request_queue;

-- name: QueueRequest :exec
-- The row is written even when it is there, so that whoever empties the queue
-- meanwhile waits for this transaction and then reads what it wrote.
INSERT INTO request_queue (request_id) VALUES ($1) ON CONFLICT (request_id) DO UPDATE SET request_id = excluded.request_id;

-- name: QueueRequests :exec
INSERT INTO request_queue (request_id) SELECT id FROM requests;

-- name: Unqueue :execrows
DELETE FROM request_queue WHERE request_id = $1;

-- name: RequestToIndex :one
SELECT id, provider, status, scopes, search_text, created_at, first_submitted_at, validated_at, revoked_at FROM requests WHERE id = $1;

-- name: IndexedRequest :one
SELECT n, terms FROM request_index WHERE request_id = $1;

-- name: InsertIndexed :execrows
INSERT INTO request_index (n, request_id, provider, status, submitted_at, validated_at, revoked_at, terms)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (n) DO NOTHING;

-- name: LastIndexed :one
SELECT n FROM request_index WHERE n >= sqlc.arg(lowest) AND n < sqlc.arg(below) ORDER BY n DESC LIMIT 1;

-- name: UpdateIndexed :exec
UPDATE request_index SET provider = $2, status = $3, submitted_at = $4, validated_at = $5, revoked_at = $6, terms = $7 WHERE n = $1;

-- name: InsertTerm :exec
INSERT INTO request_terms (term, n) VALUES ($1, $2) ON CONFLICT (term, n) DO NOTHING;

-- name: DeleteTerm :exec
DELETE FROM request_terms WHERE term = $1 AND n = $2;

-- name: CountTerm :one
SELECT COUNT(*) FROM (SELECT 1 FROM request_terms
  WHERE term = sqlc.arg(term) AND n >= CAST(sqlc.arg(lowest) AS BIGINT) AND n <= CAST(sqlc.arg(highest) AS BIGINT) LIMIT sqlc.arg(most)) AS counted;

-- name: PrefixNumbers :many
SELECT n FROM request_terms
WHERE term >= sqlc.arg(first_term) AND term < sqlc.arg(last_term) LIMIT sqlc.arg(most);

-- name: TermNewest :many
SELECT i.n, i.request_id, i.terms FROM request_terms AS t JOIN request_index AS i ON i.n = t.n
WHERE t.term = sqlc.arg(term) AND t.n >= CAST(sqlc.arg(lowest) AS BIGINT) AND t.n <= CAST(sqlc.arg(highest) AS BIGINT)
ORDER BY t.n DESC LIMIT sqlc.arg(most);

-- name: TermOldest :many
SELECT i.n, i.request_id, i.terms FROM request_terms AS t JOIN request_index AS i ON i.n = t.n
WHERE t.term = sqlc.arg(term) AND t.n >= CAST(sqlc.arg(lowest) AS BIGINT) AND t.n <= CAST(sqlc.arg(highest) AS BIGINT)
ORDER BY t.n LIMIT sqlc.arg(most);

-- name: IndexedByNumber :one
SELECT n, request_id, terms FROM request_index WHERE n = $1;

-- name: RecentlyChanged :many
SELECT r.id, r.updated_at, i.n, i.terms FROM requests AS r JOIN request_index AS i ON i.request_id = r.id
WHERE (r.updated_at, r.id) < (CAST(sqlc.arg(before_at) AS BIGINT), CAST(sqlc.arg(before_id) AS TEXT))
ORDER BY r.updated_at DESC, r.id DESC LIMIT sqlc.arg(most);

-- name: ChangedAt :one
SELECT updated_at FROM requests WHERE id = $1;

-- name: ListedRequest :one
SELECT sqlc.embed(requests),
  (SELECT COUNT(*) FROM tokens WHERE tokens.request_id = requests.id AND tokens.blocked_at = 0 AND tokens.expires_at > CAST(sqlc.arg(now) AS BIGINT)) AS live,
  (SELECT COUNT(*) FROM alerts WHERE alerts.acknowledged_at = 0 AND alerts.subject = requests.provider || '/' || requests.external_id) AS alerted
FROM requests WHERE requests.id = sqlc.arg(id);

-- name: Expiring :many
SELECT sqlc.embed(tokens), requests.provider, requests.external_id, requests.title AS request_title, requests.organization, requests.status
FROM tokens JOIN requests ON requests.id = tokens.request_id
WHERE tokens.blocked_at = 0 AND tokens.expires_at <= CAST(sqlc.arg(until) AS BIGINT)
  AND (tokens.expires_at, tokens.id) > (CAST(sqlc.arg(after_at) AS BIGINT), CAST(sqlc.arg(after_id) AS TEXT))
ORDER BY tokens.expires_at, tokens.id LIMIT 200;

-- name: InsertHandover :exec
INSERT INTO handovers (id, hash, token_id, given_by, given_to, created_at, expires_at, used_at) VALUES ($1, $2, $3, $4, $5, $6, $7, 0);

-- name: RedeemHandover :one
-- Whoever may not sign in gives nothing to others either.
UPDATE handovers SET used_at = sqlc.arg(now)
WHERE hash = sqlc.arg(hash) AND used_at = 0 AND expires_at > sqlc.arg(now)
  AND NOT EXISTS (SELECT 1 FROM people WHERE people.email = handovers.given_by AND people.disabled_at <> 0)
RETURNING *;

-- name: ForgetHandovers :exec
DELETE FROM handovers WHERE expires_at < $1;

-- name: Prolongation :one
SELECT * FROM prolongations WHERE token_id = $1;

-- name: InsertProlongation :execrows
INSERT INTO prolongations (token_id, asked_by, in_charge, purpose, contacts, done_at, updated_at, version)
VALUES ($1, $2, $3, $4, $5, $6, $7, 1) ON CONFLICT (token_id) DO NOTHING;

-- name: UpdateProlongation :execrows
UPDATE prolongations SET asked_by = $2, in_charge = $3, purpose = $4, contacts = $5, done_at = $6, updated_at = $7, version = version + 1
WHERE token_id = $1 AND version = $8;

-- name: WeeksOf :many
SELECT CAST((n - CAST(sqlc.arg(since) AS BIGINT)) / 604800000000 AS BIGINT) AS week, COUNT(*) AS received,
  CAST(SUM(CASE WHEN submitted_at <> 0 OR validated_at <> 0 OR status IN ('submitted', 'refused', 'changes_requested') THEN 1 ELSE 0 END) AS BIGINT) AS submitted,
  CAST(SUM(CASE WHEN validated_at <> 0 THEN 1 ELSE 0 END) AS BIGINT) AS validated,
  CAST(SUM(CASE WHEN status = 'refused' THEN 1 ELSE 0 END) AS BIGINT) AS refused,
  CAST(SUM(CASE WHEN status = 'revoked' THEN 1 ELSE 0 END) AS BIGINT) AS revoked
FROM request_index
WHERE n >= CAST(sqlc.arg(since) AS BIGINT) AND (CAST(sqlc.arg(provider) AS TEXT) = '' OR provider = sqlc.arg(provider))
GROUP BY 1 ORDER BY 1;

-- name: DelaysOf :many
SELECT CAST(validated_at - submitted_at AS BIGINT) AS delay FROM request_index
WHERE n >= CAST(sqlc.arg(since) AS BIGINT) AND submitted_at <> 0 AND validated_at > submitted_at
  AND (CAST(sqlc.arg(provider) AS TEXT) = '' OR provider = sqlc.arg(provider))
ORDER BY n DESC LIMIT 20000;

-- name: TokenFigures :many
SELECT requests.provider,
  CAST(SUM(CASE WHEN tokens.blocked_at = 0 AND tokens.expires_at > CAST(sqlc.arg(now) AS BIGINT) THEN 1 ELSE 0 END) AS BIGINT) AS alive,
  CAST(SUM(CASE WHEN tokens.blocked_at = 0 AND tokens.expires_at > CAST(sqlc.arg(now) AS BIGINT) AND tokens.expires_at < CAST(sqlc.arg(soon) AS BIGINT) THEN 1 ELSE 0 END) AS BIGINT) AS expiring,
  CAST(SUM(CASE WHEN tokens.blocked_at = 0 AND tokens.expires_at <= CAST(sqlc.arg(now) AS BIGINT) THEN 1 ELSE 0 END) AS BIGINT) AS expired,
  CAST(SUM(CASE WHEN tokens.blocked_at <> 0 THEN 1 ELSE 0 END) AS BIGINT) AS blocked
FROM tokens JOIN requests ON requests.id = tokens.request_id
WHERE CAST(sqlc.arg(provider) AS TEXT) = '' OR requests.provider = sqlc.arg(provider)
GROUP BY requests.provider ORDER BY requests.provider;

-- name: ScopeFigures :many
SELECT tokens.scopes, COUNT(*) AS number FROM tokens JOIN requests ON requests.id = tokens.request_id
WHERE tokens.blocked_at = 0 AND tokens.expires_at > CAST(sqlc.arg(now) AS BIGINT)
  AND (CAST(sqlc.arg(provider) AS TEXT) = '' OR requests.provider = sqlc.arg(provider))
GROUP BY tokens.scopes;

-- name: AssignAlert :execrows
UPDATE alerts SET assigned_to = $2 WHERE id = $1 AND acknowledged_at = 0;

-- name: OpenDeliveries :many
SELECT * FROM deliveries
WHERE resolved_at = 0 AND effect IN ('held', 'quarantined')
  AND (CAST(sqlc.arg(provider) AS TEXT) = '' OR provider = sqlc.arg(provider))
  AND (CAST(sqlc.arg(effect) AS TEXT) = '' OR effect = sqlc.arg(effect))
  AND (CAST(sqlc.arg(external_id) AS TEXT) = '' OR external_id = sqlc.arg(external_id))
  AND id < sqlc.arg(before_id)
ORDER BY id DESC LIMIT sqlc.arg(max_rows);

-- name: ChainDeliveries :many
SELECT * FROM deliveries
WHERE chain = sqlc.arg(chain) AND (CAST(sqlc.arg(effect) AS TEXT) = '' OR effect = sqlc.arg(effect)) AND id < sqlc.arg(before_id)
ORDER BY id DESC LIMIT sqlc.arg(max_rows);

-- name: OddDeliveries :many
SELECT * FROM deliveries
WHERE effect NOT IN ('applied', 'duplicate') AND effect = sqlc.arg(effect)
  AND (CAST(sqlc.arg(provider) AS TEXT) = '' OR provider = sqlc.arg(provider)) AND id < sqlc.arg(before_id)
ORDER BY id DESC LIMIT sqlc.arg(max_rows);
