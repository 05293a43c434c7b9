-- +goose Up
-- What must never happen is refused by the database itself, whoever asks.

-- +goose StatementBegin
CREATE TRIGGER tokens_kept BEFORE DELETE ON tokens
BEGIN SELECT RAISE(ABORT, 'guard: a token is never deleted'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER tokens_owned BEFORE UPDATE OF id, request_id, status_index, issued_at ON tokens
WHEN NEW.id <> OLD.id OR NEW.request_id <> OLD.request_id OR NEW.status_index <> OLD.status_index OR NEW.issued_at <> OLD.issued_at
BEGIN SELECT RAISE(ABORT, 'guard: a token keeps its owner'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER tokens_stay_blocked BEFORE UPDATE OF blocked_at ON tokens
WHEN OLD.blocked_at <> 0 AND NEW.blocked_at <> OLD.blocked_at
BEGIN SELECT RAISE(ABORT, 'guard: a blocked token stays blocked'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER requests_kept BEFORE DELETE ON requests
BEGIN SELECT RAISE(ABORT, 'guard: a request is never deleted'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER blocklist_kept BEFORE DELETE ON blocklist
BEGIN SELECT RAISE(ABORT, 'guard: the blocklist only grows'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER blocklist_fixed BEFORE UPDATE ON blocklist
BEGIN SELECT RAISE(ABORT, 'guard: the blocklist only grows'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_kept BEFORE DELETE ON audit_entries
BEGIN SELECT RAISE(ABORT, 'guard: the audit is never rewritten'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_fixed BEFORE UPDATE ON audit_entries
BEGIN SELECT RAISE(ABORT, 'guard: the audit is never rewritten'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER deliveries_kept BEFORE DELETE ON deliveries
BEGIN SELECT RAISE(ABORT, 'guard: the journal is never rewritten'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER deliveries_fixed BEFORE UPDATE OF id, chain, n, provider, external_id, format, event, model_type, fired_at, received_at,
  identity, effect, note, before, after, token_id, refused, problem, blocked, mails, replay_of, actor_kind, actor_id, actor_name,
  body_hash, prev, hash ON deliveries
BEGIN SELECT RAISE(ABORT, 'guard: the journal is never rewritten'); END;
-- +goose StatementEnd
