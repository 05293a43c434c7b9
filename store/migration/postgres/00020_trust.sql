-- Follows the shared text: what seals, and is guarded as the rest of it is.

-- +goose StatementBegin
CREATE FUNCTION attempts_credentials_sealed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT sealed_by_a_present_key(NEW.credentials) THEN
        RAISE EXCEPTION 'guard: sealed by a key that was retired';
    END IF;
    RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER attempts_credentials_sealed BEFORE INSERT OR UPDATE OF credentials ON attempts FOR EACH ROW EXECUTE FUNCTION attempts_credentials_sealed();
