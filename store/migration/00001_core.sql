-- +goose Up
-- Portable text: it runs unchanged on SQLite and PostgreSQL. Ids are UUIDs as
-- text, instants are microseconds since 1970 (0: never), lists are JSON. A table
-- marked "keyed" has small rows and is found by its key: on SQLite it is stored
-- in the tree of that key (WITHOUT ROWID) rather than in two.

CREATE TABLE settings (
    name  TEXT PRIMARY KEY,
    value BYTEA NOT NULL
); -- keyed

-- jobs: durable work. A finished job is removed; a dead one waits for a person.
CREATE TABLE jobs (
    id           TEXT PRIMARY KEY,
    kind         TEXT NOT NULL,
    job_key      TEXT NOT NULL,
    args         TEXT NOT NULL,
    state        TEXT NOT NULL,             -- ready, running, dead
    run_at       BIGINT NOT NULL,
    attempt      BIGINT NOT NULL,
    max_attempts BIGINT NOT NULL,
    worker       TEXT NOT NULL,
    lease_until  BIGINT NOT NULL,
    last_error   TEXT NOT NULL,
    created_at   BIGINT NOT NULL
);
CREATE UNIQUE INDEX jobs_key ON jobs (kind, job_key) WHERE job_key <> '' AND state <> 'dead';
CREATE INDEX jobs_due ON jobs (run_at) WHERE state = 'ready';
CREATE INDEX jobs_lease ON jobs (lease_until) WHERE state = 'running';

-- job_slots: one row per periodic kind and slot, so that any replica may tick.
CREATE TABLE job_slots (
    kind    TEXT NOT NULL,
    slot    TEXT NOT NULL,
    made_at BIGINT NOT NULL,
    PRIMARY KEY (kind, slot)
); -- keyed

CREATE TABLE alerts (
    id              TEXT PRIMARY KEY,
    kind            TEXT NOT NULL,
    subject         TEXT NOT NULL,
    detail          TEXT NOT NULL,
    once            TEXT NOT NULL,
    opened_at       BIGINT NOT NULL,
    acknowledged_at BIGINT NOT NULL,
    acknowledged_by TEXT NOT NULL
); -- keyed
CREATE UNIQUE INDEX alerts_once ON alerts (once) WHERE once <> '';
CREATE INDEX alerts_open ON alerts (subject, opened_at) WHERE acknowledged_at = 0;

-- audit_entries: every deed, in the transaction of the deed.
CREATE TABLE audit_entries (
    id         TEXT PRIMARY KEY,
    at         BIGINT NOT NULL,
    actor_kind TEXT NOT NULL,
    actor_id   TEXT NOT NULL,
    actor_name TEXT NOT NULL,
    deed       TEXT NOT NULL,
    subject    TEXT NOT NULL,
    detail     TEXT NOT NULL
); -- keyed
CREATE INDEX audit_entries_subject ON audit_entries (subject, id);

-- signing_keys: the private half is sealed by the keyring.
CREATE TABLE signing_keys (
    kid        TEXT PRIMARY KEY,
    algorithm  TEXT NOT NULL,
    purpose    TEXT NOT NULL,
    public     BYTEA NOT NULL,
    sealed     BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    retired_at BIGINT NOT NULL
);

-- letters_sent: messages that the mail server has taken; a letter sent again
-- after a failure goes only to those who have not had it.
CREATE TABLE letters_sent (
    message_id TEXT PRIMARY KEY,
    sent_at    BIGINT NOT NULL
); -- keyed
