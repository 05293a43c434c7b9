-- +goose Up
-- +goose StatementBegin
CREATE TRIGGER accesses_sealed_insert BEFORE INSERT ON accesses
WHEN EXISTS (SELECT 1 FROM sealing_keys) AND (length(NEW.credentials) > 0 AND substr(NEW.credentials, 1, 5) NOT IN (SELECT prefix FROM sealing_keys) OR length(NEW.session) > 0 AND substr(NEW.session, 1, 5) NOT IN (SELECT prefix FROM sealing_keys))
BEGIN SELECT RAISE(ABORT, 'guard: sealed by a key that was retired'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER accesses_sealed_update BEFORE UPDATE OF credentials, session ON accesses
WHEN EXISTS (SELECT 1 FROM sealing_keys) AND (length(NEW.credentials) > 0 AND substr(NEW.credentials, 1, 5) NOT IN (SELECT prefix FROM sealing_keys) OR length(NEW.session) > 0 AND substr(NEW.session, 1, 5) NOT IN (SELECT prefix FROM sealing_keys))
BEGIN SELECT RAISE(ABORT, 'guard: sealed by a key that was retired'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER attempts_sealed_insert BEFORE INSERT ON attempts
WHEN EXISTS (SELECT 1 FROM sealing_keys) AND (length(NEW.form) > 0 AND substr(NEW.form, 1, 5) NOT IN (SELECT prefix FROM sealing_keys))
BEGIN SELECT RAISE(ABORT, 'guard: sealed by a key that was retired'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER attempts_sealed_update BEFORE UPDATE OF form ON attempts
WHEN EXISTS (SELECT 1 FROM sealing_keys) AND (length(NEW.form) > 0 AND substr(NEW.form, 1, 5) NOT IN (SELECT prefix FROM sealing_keys))
BEGIN SELECT RAISE(ABORT, 'guard: sealed by a key that was retired'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER challenges_sealed_insert BEFORE INSERT ON challenges
WHEN EXISTS (SELECT 1 FROM sealing_keys) AND (length(NEW.session) > 0 AND substr(NEW.session, 1, 5) NOT IN (SELECT prefix FROM sealing_keys))
BEGIN SELECT RAISE(ABORT, 'guard: sealed by a key that was retired'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER challenges_sealed_update BEFORE UPDATE OF session ON challenges
WHEN EXISTS (SELECT 1 FROM sealing_keys) AND (length(NEW.session) > 0 AND substr(NEW.session, 1, 5) NOT IN (SELECT prefix FROM sealing_keys))
BEGIN SELECT RAISE(ABORT, 'guard: sealed by a key that was retired'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER signing_keys_sealed_insert BEFORE INSERT ON signing_keys
WHEN EXISTS (SELECT 1 FROM sealing_keys) AND (length(NEW.sealed) > 0 AND substr(NEW.sealed, 1, 5) NOT IN (SELECT prefix FROM sealing_keys))
BEGIN SELECT RAISE(ABORT, 'guard: sealed by a key that was retired'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER signing_keys_sealed_update BEFORE UPDATE OF sealed ON signing_keys
WHEN EXISTS (SELECT 1 FROM sealing_keys) AND (length(NEW.sealed) > 0 AND substr(NEW.sealed, 1, 5) NOT IN (SELECT prefix FROM sealing_keys))
BEGIN SELECT RAISE(ABORT, 'guard: sealed by a key that was retired'); END;
-- +goose StatementEnd
