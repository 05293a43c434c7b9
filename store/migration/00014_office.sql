-- +goose Up
-- What the back office reads. The index of requests is made after the fact, so
-- that receiving a delivery costs one small row: whoever saves a request notes it
-- here, and whoever searches reads those first.
CREATE TABLE request_queue (
    request_id TEXT PRIMARY KEY
); -- keyed
INSERT INTO request_queue (request_id) SELECT id FROM requests;

-- request_index: one row per request. n is when the request came, made unique;
-- lists are in its order and pages begin after one. terms is what request_terms
-- has of it, so that the difference can be written.
CREATE TABLE request_index (
    n            BIGINT PRIMARY KEY,
    request_id   TEXT NOT NULL REFERENCES requests (id),
    provider     TEXT NOT NULL,
    status       TEXT NOT NULL,
    submitted_at BIGINT NOT NULL,
    validated_at BIGINT NOT NULL,
    revoked_at   BIGINT NOT NULL,
    terms        TEXT NOT NULL
);
CREATE UNIQUE INDEX request_index_request ON request_index (request_id);

-- A term is bytes, so that both engines put those that begin alike together.
CREATE TABLE request_terms (
    term BYTEA NOT NULL,
    n    BIGINT NOT NULL,
    PRIMARY KEY (term, n)
); -- keyed

-- Who sees to an alert; empty: nobody yet.
ALTER TABLE alerts ADD COLUMN assigned_to TEXT NOT NULL DEFAULT '';

-- What the journal shows of the few deliveries that are not the rule.
CREATE INDEX deliveries_odd ON deliveries (effect, id) WHERE effect NOT IN ('applied', 'duplicate');

CREATE INDEX tokens_expiry ON tokens (expires_at) WHERE blocked_at = 0;

-- handovers: links by which a token is given to somebody else, once.
CREATE TABLE handovers (
    id         TEXT PRIMARY KEY,
    hash       BYTEA NOT NULL,
    token_id   TEXT NOT NULL REFERENCES tokens (id),
    given_by   TEXT NOT NULL,
    given_to   TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at    BIGINT NOT NULL
); -- keyed
CREATE UNIQUE INDEX handovers_hash ON handovers (hash);
CREATE INDEX handovers_expiry ON handovers (expires_at);

-- prolongations: what an applicant answered so far when asking for more time.
CREATE TABLE prolongations (
    token_id   TEXT PRIMARY KEY REFERENCES tokens (id),
    asked_by   TEXT NOT NULL,
    in_charge  TEXT NOT NULL,
    purpose    TEXT NOT NULL,
    contacts   TEXT NOT NULL,
    done_at    BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    version    BIGINT NOT NULL
); -- keyed

-- Views for reporting tools: no name, no address, no body. Instants are seconds
-- since 1970, and NULL for never.
CREATE VIEW report_requests AS
SELECT id, provider, external_id AS number, status, siret, organization, procedure_name AS form, scopes,
  created_at / 1000000 AS received_at, NULLIF(first_submitted_at, 0) / 1000000 AS submitted_at,
  NULLIF(validated_at, 0) / 1000000 AS validated_at, NULLIF(revoked_at, 0) / 1000000 AS revoked_at,
  NULLIF(archived_at, 0) / 1000000 AS archived_at, updated_at / 1000000 AS changed_at
FROM requests WHERE purged_at = 0;

CREATE VIEW report_tokens AS
SELECT tokens.id, requests.provider, requests.external_id AS request_number, tokens.scopes,
  tokens.issued_at / 1000000 AS issued_at, tokens.expires_at / 1000000 AS expires_at,
  NULLIF(tokens.block_at, 0) / 1000000 AS block_at, NULLIF(tokens.blocked_at, 0) / 1000000 AS blocked_at
FROM tokens JOIN requests ON requests.id = tokens.request_id;

CREATE VIEW report_deliveries AS
SELECT id, provider, external_id AS request_number, format, event, effect, note, before AS status_before, after AS status_after,
  blocked AS tokens_blocked, mails, fired_at / 1000000 AS fired_at, received_at / 1000000 AS received_at,
  NULLIF(resolved_at, 0) / 1000000 AS resolved_at
FROM deliveries;

CREATE VIEW report_alerts AS
SELECT id, kind, subject, opened_at / 1000000 AS opened_at, NULLIF(acknowledged_at, 0) / 1000000 AS acknowledged_at
FROM alerts;
