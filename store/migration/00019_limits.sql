-- +goose Up
-- limits: from which networks a token may be used, and how often; JSON, empty when
-- nothing is narrowed. It goes into the JWT.
ALTER TABLE tokens ADD COLUMN limits TEXT NOT NULL DEFAULT '';
