-- Follows the shared text: what seals, and is guarded as the rest of it is.

-- +goose StatementBegin
CREATE TRIGGER attempts_credentials_sealed_insert BEFORE INSERT ON attempts
WHEN EXISTS (SELECT 1 FROM sealing_keys) AND (length(NEW.credentials) > 0 AND substr(NEW.credentials, 1, 5) NOT IN (SELECT prefix FROM sealing_keys))
BEGIN SELECT RAISE(ABORT, 'guard: sealed by a key that was retired'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER attempts_credentials_sealed_update BEFORE UPDATE OF credentials ON attempts
WHEN EXISTS (SELECT 1 FROM sealing_keys) AND (length(NEW.credentials) > 0 AND substr(NEW.credentials, 1, 5) NOT IN (SELECT prefix FROM sealing_keys))
BEGIN SELECT RAISE(ABORT, 'guard: sealed by a key that was retired'); END;
-- +goose StatementEnd
