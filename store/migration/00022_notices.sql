-- +goose Up
-- notices: notifications to the systems of providers, from their first attempt on;
-- before it they are only jobs. The body has identifiers and instants, no people.
CREATE TABLE notices (
    id           TEXT PRIMARY KEY,
    provider     TEXT NOT NULL,
    type         TEXT NOT NULL,
    external_id  TEXT NOT NULL,
    body         TEXT NOT NULL,
    made_at      BIGINT NOT NULL,
    state        TEXT NOT NULL,             -- waiting, delivered, failed
    attempts     BIGINT NOT NULL,
    round        BIGINT NOT NULL,           -- attempts since it was last sent by hand
    next_at      BIGINT NOT NULL,
    delivered_at BIGINT NOT NULL,
    code         BIGINT NOT NULL,
    problem      TEXT NOT NULL
); -- keyed
CREATE INDEX notices_provider ON notices (provider, id);

CREATE TABLE notice_attempts (
    notice_id TEXT NOT NULL,
    n         BIGINT NOT NULL,
    began_at  BIGINT NOT NULL,
    ended_at  BIGINT NOT NULL,              -- 0: it goes on, or its process died
    code      BIGINT NOT NULL,
    problem   TEXT NOT NULL,
    PRIMARY KEY (notice_id, n)
); -- keyed
