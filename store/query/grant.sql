-- name: LockChain :one
INSERT INTO chains (chain, length, head) VALUES ($1, 0, $2)
ON CONFLICT (chain) DO UPDATE SET length = chains.length
RETURNING length, head;

-- name: InsertChain :execrows
INSERT INTO chains (chain, length, head) VALUES ($1, $2, $3) ON CONFLICT (chain) DO NOTHING;

-- name: AdvanceChain :execrows
UPDATE chains SET length = $2, head = $3 WHERE chain = $1 AND length = $2 - 1;

-- name: ChainEnd :one
SELECT length, head FROM chains WHERE chain = $1;

-- name: ListChains :many
SELECT chain FROM chains WHERE chain > $1 ORDER BY chain LIMIT 1000;

-- name: RequestByNumber :one
SELECT * FROM requests WHERE provider = $1 AND external_id = $2;

-- name: InsertRequest :execrows
INSERT INTO requests (id, provider, external_id, public_id, status, title, description, procedure_name, siret, organization,
  previous_id, scopes, contacts, authorizations, search_text, first_submitted_at, validated_at, revoked_at, archived_at,
  deleted_at_source, purge_at, purged_at, tombstone, last_fired_at, last_rank, last_grant_at, last_grant_rank, created_at,
  updated_at, version)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25,
  $26, $27, $28, $29, $30);

-- name: UpdateRequest :execrows
UPDATE requests SET public_id = $1, status = $2, title = $3, description = $4, procedure_name = $5, siret = $6, organization = $7,
  previous_id = $8, scopes = $9, contacts = $10, authorizations = $11, search_text = $12, first_submitted_at = $13,
  validated_at = $14, revoked_at = $15, archived_at = $16, deleted_at_source = $17, purge_at = $18, purged_at = $19,
  tombstone = $20, last_fired_at = $21, last_rank = $22, last_grant_at = $23, last_grant_rank = $24, updated_at = $25,
  version = version + 1
WHERE id = $26 AND version = $27;

-- name: TokensOfRequest :many
SELECT * FROM tokens WHERE request_id = $1 ORDER BY issued_at, id;

-- name: NewestStatusIndex :one
SELECT CAST(COALESCE(MAX(status_index), 0) AS BIGINT) FROM tokens;

-- name: InsertToken :execrows
INSERT INTO tokens (id, request_id, authorization_id, status_index, scopes, title, legacy_id, issued_at, expires_at, block_at,
  blocked_at, block_reason, reminders, version, limits)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, 0, '', $10, 1, $11)
ON CONFLICT (status_index) DO NOTHING;

-- name: AmendToken :execrows
UPDATE tokens SET authorization_id = $1, scopes = $2, title = $3, expires_at = $4, block_at = $5, block_reason = $6,
  reminders = $7, limits = $8, version = version + 1
WHERE id = $9 AND version = $10;

-- name: LockBlocklist :one
UPDATE blocklist_head SET seq = seq WHERE id = 1 RETURNING epoch, seq;

-- name: BlockToken :one
UPDATE tokens SET blocked_at = $2, block_reason = $3, version = version + 1
WHERE id = $1 AND blocked_at = 0
RETURNING status_index;

-- name: InsertBlocked :exec
INSERT INTO blocklist (seq, token_id, status_index, at) VALUES ($1, $2, $3, $4);

-- name: AdvanceBlocklist :exec
UPDATE blocklist_head SET seq = $1 WHERE id = 1;

-- name: RaiseEpoch :exec
UPDATE blocklist_head SET epoch = $1 WHERE id = 1;

-- name: BlocklistHead :one
SELECT epoch, seq FROM blocklist_head WHERE id = 1;

-- name: BlocklistAfter :many
SELECT * FROM blocklist WHERE seq > $1 ORDER BY seq LIMIT $2;

-- name: EarlierDelivery :one
SELECT id, token_id, refused FROM deliveries
WHERE chain = $1 AND identity = $2 AND effect <> 'duplicate' ORDER BY n DESC LIMIT 1;

-- name: EarlierNameless :one
SELECT id, token_id, refused FROM deliveries
WHERE chain = $1 AND identity = $2 AND external_id = '' AND effect <> 'duplicate' ORDER BY n DESC LIMIT 1;

-- name: InsertDelivery :exec
INSERT INTO deliveries (id, chain, n, provider, external_id, format, event, model_type, fired_at, received_at, identity, effect,
  note, before, after, token_id, refused, problem, blocked, mails, replay_of, actor_kind, actor_id, actor_name, resolved_at,
  body_hash, prev, hash, body)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25,
  $26, $27, $28, $29);

-- name: ResolveDelivery :execrows
UPDATE deliveries SET resolved_at = $2 WHERE id = $1 AND resolved_at = 0;

-- name: WipeBodies :exec
UPDATE deliveries SET body = NULL WHERE chain = $1;

-- name: DeliveryByID :one
SELECT * FROM deliveries WHERE id = $1;

-- name: DeliveriesOfChain :many
SELECT * FROM deliveries WHERE chain = $1 ORDER BY n;

-- name: EventsOfChain :many
SELECT event, fired_at FROM deliveries WHERE chain = $1 AND effect IN ('applied', 'late') ORDER BY fired_at DESC, n DESC LIMIT 200;

-- name: Deliveries :many
SELECT * FROM deliveries
WHERE (CAST(sqlc.arg(provider) AS TEXT) = '' OR provider = sqlc.arg(provider))
  AND (CAST(sqlc.arg(external_id) AS TEXT) = '' OR external_id = sqlc.arg(external_id))
  AND (CAST(sqlc.arg(effect) AS TEXT) = '' OR effect = sqlc.arg(effect))
  AND (CAST(sqlc.arg(before_id) AS TEXT) = '' OR id < sqlc.arg(before_id))
ORDER BY id DESC LIMIT sqlc.arg(max_rows);

-- name: Standing :one
SELECT sqlc.embed(tokens), requests.provider, requests.external_id, requests.title AS request_title, requests.organization, requests.status
FROM tokens JOIN requests ON requests.id = tokens.request_id WHERE tokens.id = $1;

-- name: Standings :many
SELECT sqlc.embed(tokens), requests.provider, requests.external_id, requests.title AS request_title, requests.organization, requests.status
FROM tokens JOIN requests ON requests.id = tokens.request_id
WHERE (CAST(sqlc.arg(provider) AS TEXT) = '' OR requests.provider = sqlc.arg(provider))
  AND (CAST(sqlc.arg(state) AS TEXT) = ''
    OR (sqlc.arg(state) = 'live' AND tokens.blocked_at = 0 AND tokens.expires_at > CAST(sqlc.arg(now) AS BIGINT))
    OR (sqlc.arg(state) = 'blocked' AND tokens.blocked_at <> 0)
    OR (sqlc.arg(state) = 'expired' AND tokens.blocked_at = 0 AND tokens.expires_at <= CAST(sqlc.arg(now) AS BIGINT)))
  AND (CAST(sqlc.arg(search) AS TEXT) = '' OR requests.search_text LIKE sqlc.arg(search) ESCAPE '\' OR tokens.id LIKE sqlc.arg(search) ESCAPE '\')
  AND (CAST(sqlc.arg(before_id) AS TEXT) = '' OR tokens.id < sqlc.arg(before_id))
ORDER BY tokens.id DESC LIMIT sqlc.arg(max_rows);

-- name: Requests :many
SELECT sqlc.embed(requests),
  (SELECT COUNT(*) FROM tokens WHERE tokens.request_id = requests.id AND tokens.blocked_at = 0 AND tokens.expires_at > CAST(sqlc.arg(now) AS BIGINT)) AS live,
  (SELECT COUNT(*) FROM alerts WHERE alerts.acknowledged_at = 0 AND alerts.subject = requests.provider || '/' || requests.external_id) AS alerted
FROM requests
WHERE (CAST(sqlc.arg(provider) AS TEXT) = '' OR provider = sqlc.arg(provider))
  AND (CAST(sqlc.arg(status) AS TEXT) = '' OR status = sqlc.arg(status))
  AND (CAST(sqlc.arg(search) AS TEXT) = '' OR search_text LIKE sqlc.arg(search) ESCAPE '\')
  AND (CAST(sqlc.arg(scope) AS TEXT) = '' OR scopes LIKE sqlc.arg(scope) ESCAPE '\')
  AND (CAST(sqlc.arg(archived) AS BIGINT) = 1 OR status <> 'archived' OR validated_at <> 0 OR revoked_at <> 0)
  AND (updated_at, id) < (CAST(sqlc.arg(before_at) AS BIGINT), CAST(sqlc.arg(before_id) AS TEXT))
ORDER BY updated_at DESC, id DESC LIMIT sqlc.arg(max_rows);

-- name: PurgeDue :many
SELECT * FROM requests WHERE purge_at <> 0 AND purge_at <= $1 ORDER BY purge_at LIMIT 500;

-- name: BlocksDue :many
SELECT * FROM tokens WHERE block_at <> 0 AND blocked_at = 0 AND block_at <= $1 ORDER BY block_at LIMIT 500;

-- name: CountRequests :many
SELECT status, COUNT(*) AS number FROM requests
WHERE status <> 'archived' OR validated_at <> 0 OR revoked_at <> 0 GROUP BY status;

-- name: CountTokens :one
SELECT CAST(COALESCE(SUM(CASE WHEN blocked_at = 0 AND expires_at > sqlc.arg(now) THEN 1 ELSE 0 END), 0) AS BIGINT) AS live,
  CAST(COALESCE(SUM(CASE WHEN blocked_at <> 0 THEN 1 ELSE 0 END), 0) AS BIGINT) AS blocked,
  CAST(COALESCE(SUM(CASE WHEN blocked_at = 0 AND expires_at > sqlc.arg(now) AND expires_at < sqlc.arg(soon) THEN 1 ELSE 0 END), 0) AS BIGINT) AS expiring
FROM tokens;

-- name: CountOpenDeliveries :one
SELECT CAST(COALESCE(SUM(CASE WHEN effect = 'held' THEN 1 ELSE 0 END), 0) AS BIGINT) AS held,
  CAST(COALESCE(SUM(CASE WHEN effect = 'quarantined' THEN 1 ELSE 0 END), 0) AS BIGINT) AS quarantined
FROM deliveries WHERE resolved_at = 0 AND effect IN ('held', 'quarantined');

-- name: CountDeliveriesSince :one
SELECT COUNT(*) FROM deliveries WHERE received_at >= $1;

-- name: CountOpenAlerts :one
SELECT COUNT(*) FROM alerts WHERE acknowledged_at = 0;
