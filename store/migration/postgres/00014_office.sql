-- Follows the shared text: which requests the index must read again. The row is
-- written even when it is there, so that whoever empties the queue meanwhile
-- waits for this transaction and then reads what it wrote.

-- +goose StatementBegin
CREATE FUNCTION queue_request() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO request_queue (request_id) VALUES (NEW.id) ON CONFLICT (request_id) DO UPDATE SET request_id = excluded.request_id;
  RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER requests_new AFTER INSERT ON requests FOR EACH ROW EXECUTE FUNCTION queue_request();
CREATE TRIGGER requests_changed AFTER UPDATE OF search_text, scopes, status, first_submitted_at, validated_at, revoked_at ON requests
FOR EACH ROW WHEN (NEW.search_text <> OLD.search_text OR NEW.scopes <> OLD.scopes OR NEW.status <> OLD.status
  OR NEW.first_submitted_at <> OLD.first_submitted_at OR NEW.validated_at <> OLD.validated_at OR NEW.revoked_at <> OLD.revoked_at)
EXECUTE FUNCTION queue_request();
