package keyring

import (
	"strconv"
	"strings"

	"guichet"
)

// What a check of a token can refuse, in the same words at Guichet and at its
// gateways. A token that is not ours is ErrInvalidToken's business.
var (
	ErrNoToken      = &guichet.Error{Kind: guichet.Unauthorized, Code: "invalid_token", Reason: "There is no token, or it is not one of ours."}
	ErrTokenExpired = &guichet.Error{Kind: guichet.Unauthorized, Code: "token_expired", Reason: "The token has ended."}
	ErrTokenRevoked = &guichet.Error{Kind: guichet.Unauthorized, Code: "token_revoked", Reason: "The token was taken back."}
	ErrAddress      = &guichet.Error{Kind: guichet.Forbidden, Code: "address_not_allowed", Reason: "The token may not be used from this address."}
	ErrScope        = &guichet.Error{Kind: guichet.Forbidden, Code: "insufficient_scope", Reason: "The token does not cover what is asked."}
)

// OneToken reads the one token of a request from all its Authorization and all
// its X-Api-Key headers. Two tokens are as good as none: the API behind could look
// at the other.
func OneToken(authorization, key []string) (token string, ok bool) {
	switch {
	case len(authorization) == 1 && len(key) == 0:
		scheme, token, _ := strings.Cut(authorization[0], " ")
		return strings.TrimSpace(token), strings.EqualFold(scheme, "Bearer")
	case len(authorization) == 0 && len(key) == 1:
		return key[0], true
	}
	return "", false
}

// ChallengeOf is the WWW-Authenticate of a refusal, in the words of RFC 6750.
func ChallengeOf(err error) string {
	word := "invalid_token"
	if guichet.CodeOf(err) == ErrScope.Code {
		word = ErrScope.Code
	}
	return `Bearer error="` + word + `"`
}

// StatusShard is how many bits one status list has. A token names its list and
// its bit in it; the blocklist counts through all lists. Every list is full size
// from the start, so that its length tells nothing.
const StatusShard = 1 << 17

// StatusAt is the status of the token with this index, in the lists at this address.
func StatusAt(url string, index int64) Status {
	return Status{Index: index % StatusShard, URI: url + "/status/" + strconv.FormatInt(index/StatusShard, 10)}
}

// Global is the index of the token through all lists, whatever the address was at
// the time: ok is false for one that no list of ours can have.
func (s Status) Global() (index int64, ok bool) {
	at := strings.LastIndexByte(s.URI, '/')
	shard, err := strconv.ParseInt(s.URI[at+1:], 10, 32)
	if err != nil || at < 0 || shard < 0 || s.Index < 0 || s.Index >= StatusShard || !strings.HasSuffix(s.URI[:at], "/status") {
		return 0, false
	}
	return shard*StatusShard + s.Index, true
}
