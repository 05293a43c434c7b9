-- Follows the shared text: which requests the index must read again.

-- +goose StatementBegin
CREATE TRIGGER requests_new AFTER INSERT ON requests
BEGIN INSERT INTO request_queue (request_id) VALUES (NEW.id) ON CONFLICT (request_id) DO NOTHING; END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER requests_changed AFTER UPDATE OF search_text, scopes, status, first_submitted_at, validated_at, revoked_at ON requests
WHEN NEW.search_text <> OLD.search_text OR NEW.scopes <> OLD.scopes OR NEW.status <> OLD.status
  OR NEW.first_submitted_at <> OLD.first_submitted_at OR NEW.validated_at <> OLD.validated_at OR NEW.revoked_at <> OLD.revoked_at
BEGIN INSERT INTO request_queue (request_id) VALUES (NEW.id) ON CONFLICT (request_id) DO NOTHING; END;
-- +goose StatementEnd
