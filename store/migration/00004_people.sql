-- +goose Up
CREATE TABLE people (
    id              TEXT PRIMARY KEY,
    email           TEXT NOT NULL,
    name            TEXT NOT NULL,
    role            TEXT NOT NULL,
    language        TEXT NOT NULL,
    password_hash   TEXT NOT NULL,
    password_set_at BIGINT NOT NULL,
    created_at      BIGINT NOT NULL,
    disabled_at     BIGINT NOT NULL,
    version         BIGINT NOT NULL
);
CREATE UNIQUE INDEX people_email ON people (email);

CREATE TABLE api_tokens (
    id           TEXT PRIMARY KEY,
    person_id    TEXT NOT NULL REFERENCES people (id),
    name         TEXT NOT NULL,
    hash         BYTEA NOT NULL,
    created_at   BIGINT NOT NULL,
    last_used_at BIGINT NOT NULL,
    revoked_at   BIGINT NOT NULL,
    version      BIGINT NOT NULL
);
CREATE UNIQUE INDEX api_tokens_hash ON api_tokens (hash);
CREATE INDEX api_tokens_person ON api_tokens (person_id);

-- setup: one row; how the first person comes in.
CREATE TABLE setup (
    id         BIGINT PRIMARY KEY,
    hash       BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    done       BOOLEAN NOT NULL,
    version    BIGINT NOT NULL
);

CREATE TABLE sign_in_failures (
    key     TEXT PRIMARY KEY,
    number  BIGINT NOT NULL,
    last_at BIGINT NOT NULL
); -- keyed

-- sessions: only a hash of what the browser holds.
CREATE TABLE sessions (
    hash       BYTEA PRIMARY KEY,
    data       BYTEA NOT NULL,
    expires_at BIGINT NOT NULL
); -- keyed
CREATE INDEX sessions_expiry ON sessions (expires_at);
