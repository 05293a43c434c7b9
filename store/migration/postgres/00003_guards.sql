-- +goose Up
-- What must never happen is refused by the database itself, whoever asks.

-- +goose StatementBegin
CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'guard: %', TG_ARGV[0]; END $$;
-- +goose StatementEnd
CREATE TRIGGER tokens_kept BEFORE DELETE ON tokens
FOR EACH ROW EXECUTE FUNCTION guard('a token is never deleted');
CREATE TRIGGER tokens_owned BEFORE UPDATE OF id, request_id, status_index, issued_at ON tokens
FOR EACH ROW WHEN (NEW.id <> OLD.id OR NEW.request_id <> OLD.request_id OR NEW.status_index <> OLD.status_index OR NEW.issued_at <> OLD.issued_at)
EXECUTE FUNCTION guard('a token keeps its owner');
CREATE TRIGGER tokens_stay_blocked BEFORE UPDATE OF blocked_at ON tokens
FOR EACH ROW WHEN (OLD.blocked_at <> 0 AND NEW.blocked_at <> OLD.blocked_at)
EXECUTE FUNCTION guard('a blocked token stays blocked');
CREATE TRIGGER requests_kept BEFORE DELETE ON requests
FOR EACH ROW EXECUTE FUNCTION guard('a request is never deleted');
CREATE TRIGGER blocklist_kept BEFORE DELETE OR UPDATE ON blocklist
FOR EACH ROW EXECUTE FUNCTION guard('the blocklist only grows');
CREATE TRIGGER audit_kept BEFORE DELETE OR UPDATE ON audit_entries
FOR EACH ROW EXECUTE FUNCTION guard('the audit is never rewritten');
CREATE TRIGGER deliveries_kept BEFORE DELETE ON deliveries
FOR EACH ROW EXECUTE FUNCTION guard('the journal is never rewritten');
CREATE TRIGGER deliveries_fixed BEFORE UPDATE OF id, chain, n, provider, external_id, format, event, model_type, fired_at, received_at,
  identity, effect, note, before, after, token_id, refused, problem, blocked, mails, replay_of, actor_kind, actor_id, actor_name,
  body_hash, prev, hash ON deliveries
FOR EACH ROW EXECUTE FUNCTION guard('the journal is never rewritten');
CREATE TRIGGER tokens_kept_all BEFORE TRUNCATE ON tokens FOR EACH STATEMENT EXECUTE FUNCTION guard('a token is never deleted');
CREATE TRIGGER deliveries_kept_all BEFORE TRUNCATE ON deliveries FOR EACH STATEMENT EXECUTE FUNCTION guard('the journal is never rewritten');
