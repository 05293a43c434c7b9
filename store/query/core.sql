-- name: Setting :one
SELECT value FROM settings WHERE name = $1;

-- name: InsertSetting :execrows
INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING;

-- name: InsertAlert :execrows
INSERT INTO alerts (id, kind, subject, detail, once, opened_at, acknowledged_at, acknowledged_by)
VALUES ($1, $2, $3, $4, $5, $6, 0, '')
ON CONFLICT (once) WHERE once <> '' DO NOTHING;

-- name: Alerts :many
SELECT * FROM alerts
WHERE (CAST(sqlc.arg(open) AS BIGINT) = 0 OR acknowledged_at = 0)
  AND (CAST(sqlc.arg(subject) AS TEXT) = '' OR subject = sqlc.arg(subject))
  AND (opened_at, id) < (CAST(sqlc.arg(before_at) AS BIGINT), CAST(sqlc.arg(before_id) AS TEXT))
ORDER BY opened_at DESC, id DESC LIMIT sqlc.arg(max_rows);

-- name: AlertByID :one
SELECT * FROM alerts WHERE id = $1;

-- name: AcknowledgeAlert :execrows
UPDATE alerts SET acknowledged_at = $2, acknowledged_by = $3 WHERE id = $1 AND acknowledged_at = 0;

-- name: InsertAudit :exec
INSERT INTO audit_entries (id, at, actor_kind, actor_id, actor_name, deed, subject, detail)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8);

-- name: AuditOf :many
SELECT * FROM audit_entries WHERE subject = $1 ORDER BY id LIMIT 1000;

-- name: SigningKeys :many
SELECT * FROM signing_keys ORDER BY created_at, kid;

-- name: LetterTaken :one
SELECT COUNT(*) FROM letters_sent WHERE message_id = $1;

-- name: NoteLetter :exec
INSERT INTO letters_sent (message_id, sent_at) VALUES ($1, $2) ON CONFLICT (message_id) DO NOTHING;
