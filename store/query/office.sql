-- name: Queued :many
SELECT request_id FROM request_queue ORDER BY request_id LIMIT $1;

-- name: CountQueued :one
SELECT COUNT(*) FROM request_queue;

-- name: Unqueue :execrows
DELETE FROM request_queue WHERE request_id = $1;

-- name: RequestToIndex :one
SELECT id, provider, status, scopes, search_text, created_at, first_submitted_at, validated_at, revoked_at FROM requests WHERE id = $1;

-- name: IndexedRequest :one
SELECT n, terms FROM request_index WHERE request_id = $1;

-- name: InsertIndexed :execrows
INSERT INTO request_index (n, request_id, provider, status, submitted_at, validated_at, revoked_at, terms)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (n) DO NOTHING;

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
