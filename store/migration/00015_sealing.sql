-- +goose Up
-- sealing_keys: the first bytes of whatever the present sealing keys have sealed.
-- Guards refuse a value sealed by any other, so that a process that has not heard
-- of a rotation cannot leave one behind that nothing opens any more. Empty: no
-- keyset was made yet, and nothing is refused.
CREATE TABLE sealing_keys (
    prefix BYTEA PRIMARY KEY
); -- keyed
