-- +goose Up
-- The row of the key is held until the end of the transaction: a retirement
-- waits for it, and then sees what it wrote.
-- +goose StatementBegin
CREATE FUNCTION sealed_by_a_present_key(sealed BYTEA) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM sealing_keys WHERE prefix = substr(sealed, 1, 5) FOR SHARE;
    RETURN FOUND OR length(sealed) = 0 OR NOT EXISTS (SELECT 1 FROM sealing_keys);
END $$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE FUNCTION accesses_credentials_sealed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT sealed_by_a_present_key(NEW.credentials) THEN
        RAISE EXCEPTION 'guard: sealed by a key that was retired';
    END IF;
    RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER accesses_credentials_sealed BEFORE INSERT OR UPDATE OF credentials ON accesses FOR EACH ROW EXECUTE FUNCTION accesses_credentials_sealed();
-- +goose StatementBegin
CREATE FUNCTION accesses_session_sealed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT sealed_by_a_present_key(NEW.session) THEN
        RAISE EXCEPTION 'guard: sealed by a key that was retired';
    END IF;
    RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER accesses_session_sealed BEFORE INSERT OR UPDATE OF session ON accesses FOR EACH ROW EXECUTE FUNCTION accesses_session_sealed();
-- +goose StatementBegin
CREATE FUNCTION attempts_form_sealed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT sealed_by_a_present_key(NEW.form) THEN
        RAISE EXCEPTION 'guard: sealed by a key that was retired';
    END IF;
    RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER attempts_form_sealed BEFORE INSERT OR UPDATE OF form ON attempts FOR EACH ROW EXECUTE FUNCTION attempts_form_sealed();
-- +goose StatementBegin
CREATE FUNCTION challenges_session_sealed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT sealed_by_a_present_key(NEW.session) THEN
        RAISE EXCEPTION 'guard: sealed by a key that was retired';
    END IF;
    RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER challenges_session_sealed BEFORE INSERT OR UPDATE OF session ON challenges FOR EACH ROW EXECUTE FUNCTION challenges_session_sealed();
-- +goose StatementBegin
CREATE FUNCTION signing_keys_sealed_sealed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT sealed_by_a_present_key(NEW.sealed) THEN
        RAISE EXCEPTION 'guard: sealed by a key that was retired';
    END IF;
    RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER signing_keys_sealed_sealed BEFORE INSERT OR UPDATE OF sealed ON signing_keys FOR EACH ROW EXECUTE FUNCTION signing_keys_sealed_sealed();
