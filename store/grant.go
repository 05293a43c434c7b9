package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"guichet"
	"guichet/grant"
	"guichet/store/query"
)

// Grant is the store of the grant window.
type Grant struct{ s *Store }

// Grant gives the store of the grant window.
func (s *Store) Grant() Grant { return Grant{s} }

// Update implements grant.Store.
func (g Grant) Update(ctx context.Context, fn func(grant.Tx) error) error {
	run := func(t *tx) error { return fn(&grantTx{tx: t, chains: map[string]chainEnd{}}) }
	if g.s.batch == nil {
		return g.s.update(ctx, run)
	}
	rehearsed := g.s.rehearse(ctx, run)
	return g.s.update(ctx, func(t *tx) error {
		if rehearsed != nil {
			if valid, err := rehearsed.perform(t); valid {
				return err
			}
		}
		return run(t)
	})
}

type chainEnd struct {
	length int64
	head   []byte
}

// grantTx implements grant.Tx.
type grantTx struct {
	*tx
	chains map[string]chainEnd // locked in this transaction
}

var errChanged = &guichet.Error{Kind: guichet.Conflict, Code: "changed_meanwhile", Reason: "Someone else changed this at the same moment. Please look again."}

func (t *grantTx) Find(provider, externalID string, identity [32]byte) (r grant.Request, earlier *grant.Delivery, err error) {
	chain := provider + "/" + externalID
	if t.rehearsal != nil {
		if met := t.store.met.meet(chain); met || len(t.chains) > 0 {
			return r, nil, errOnlyInTurn
		}
		t.chains[chain] = chainEnd{}
		return grant.Request{Provider: provider, ExternalID: externalID}, nil, nil
	}
	end, err := t.lock(chain)
	if err != nil {
		return r, nil, err
	}
	t.chains[chain] = end
	r = grant.Request{Provider: provider, ExternalID: externalID}
	if end.length == 0 {
		return r, nil, nil // the first delivery of a request is all there is to know of it
	}
	row, err := t.q.RequestByNumber(t.ctx, query.RequestByNumberParams{Provider: provider, ExternalID: externalID})
	switch {
	case errors.Is(err, sql.ErrNoRows):
	case err != nil:
		return r, nil, err
	default:
		if r, err = t.withTokens(row); err != nil {
			return r, nil, err
		}
	}
	if identity == ([32]byte{}) {
		return r, nil, nil
	}
	first, err := t.q.EarlierDelivery(t.ctx, query.EarlierDeliveryParams{Chain: chain, Identity: identity[:]})
	if externalID == "" {
		var nameless query.EarlierNamelessRow
		nameless, err = t.q.EarlierNameless(t.ctx, query.EarlierNamelessParams{Chain: chain, Identity: identity[:]})
		first = query.EarlierDeliveryRow(nameless)
	}
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return r, nil, nil
	case err != nil:
		return r, nil, err
	}
	return r, &grant.Delivery{ID: guichet.ID(first.ID), TokenID: guichet.ID(first.TokenID), Refused: first.Refused}, nil
}

// lock takes the chain's row until the end of the transaction. SQLite has one
// writer, and that is us: looking is enough.
func (t *grantTx) lock(chain string) (chainEnd, error) {
	if t.store.engine == PostgreSQL {
		t.locking = chain
		end, err := t.q.LockChain(t.ctx, query.LockChainParams{Chain: chain, Head: make([]byte, 32)})
		return chainEnd{end.Length, end.Head}, err
	}
	end, err := t.q.ChainEnd(t.ctx, chain)
	if errors.Is(err, sql.ErrNoRows) {
		return chainEnd{}, nil
	}
	return chainEnd{end.Length, end.Head}, err
}

func (t *grantTx) withTokens(row query.Request) (grant.Request, error) {
	r, err := requestOf(row)
	if err != nil {
		return r, err
	}
	tokens, err := t.q.TokensOfRequest(t.ctx, row.ID)
	if err != nil {
		return r, err
	}
	for _, row := range tokens {
		token, err := tokenOf(row)
		if err != nil {
			return r, err
		}
		r.Tokens = append(r.Tokens, token)
	}
	return r, nil
}

func (t *grantTx) Append(d *grant.Delivery) error {
	chain := d.Chain()
	end, locked := t.chains[chain]
	if !locked {
		return fmt.Errorf("append to the chain %q, which is not locked", chain)
	}
	d.N = end.length + 1
	copy(d.Prev[:], end.head)
	d.Hash = hashOf(*d)
	length, head := d.N, d.Hash
	err := t.takePlace(func(t *tx) error {
		// Two replicas cannot both pass here: the second finds another length.
		var n int64
		var err error
		if end.head == nil {
			n, err = t.q.InsertChain(t.ctx, query.InsertChainParams{Chain: chain, Length: length, Head: head[:]})
		} else {
			n, err = t.q.AdvanceChain(t.ctx, query.AdvanceChainParams{Chain: chain, Length: length, Head: head[:]})
		}
		if err == nil && n != 1 {
			err = errChanged
		}
		return err
	})
	if err != nil {
		return err
	}
	t.chains[chain] = chainEnd{length, head[:]}
	row := query.InsertDeliveryParams{
		ID: string(d.ID), Chain: chain, N: d.N, Provider: d.Provider, ExternalID: d.ExternalID, Format: string(d.Format),
		Event: d.Event, ModelType: d.ModelType, FiredAt: micros(d.FiredAt), ReceivedAt: micros(d.ReceivedAt), Identity: d.Identity[:],
		Effect: string(d.Effect), Note: string(d.Note), Before: string(d.Before), After: string(d.After), TokenID: string(d.TokenID),
		Refused: d.Refused, Problem: d.Problem, Blocked: int64(d.Blocked), Mails: int64(d.Mails), ReplayOf: string(d.ReplayOf),
		ActorKind: string(d.Actor.Kind), ActorID: string(d.Actor.ID), ActorName: d.Actor.Name, ResolvedAt: micros(d.Resolved),
		BodyHash: d.BodyHash[:], Prev: d.Prev[:], Hash: d.Hash[:], Body: packed(d.Body),
	}
	return t.do(func(t *tx) error { return t.q.InsertDelivery(t.ctx, row) })
}

// hashOf covers every column of a delivery that is never changed. The body is
// covered by its own hash, so that it can be wiped and the chain still holds.
func hashOf(d grant.Delivery) [32]byte {
	h := sha256.New()
	h.Write(d.Prev[:])
	h.Write(d.Identity[:])
	h.Write(d.BodyHash[:])
	refused := int64(0)
	if d.Refused {
		refused = 1
	}
	for _, n := range []int64{d.N, micros(d.FiredAt), micros(d.ReceivedAt), refused, int64(d.Blocked), int64(d.Mails)} {
		writeInt(h, n)
	}
	for _, s := range []string{
		string(d.ID), d.Provider, d.ExternalID, string(d.Format), d.Event, d.ModelType, string(d.Effect), string(d.Note),
		string(d.Before), string(d.After), string(d.TokenID), d.Problem, string(d.ReplayOf), string(d.Actor.Kind), string(d.Actor.ID),
		d.Actor.Name,
	} {
		writeInt(h, int64(len(s)))
		h.Write([]byte(s))
	}
	return [32]byte(h.Sum(nil))
}

func writeInt(h hash.Hash, n int64) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(n))
	h.Write(b[:])
}

func (t *grantTx) Save(r *grant.Request) error {
	row, version := rowOf(*r), r.Version
	r.Version++
	return t.do(func(t *tx) error {
		var n int64
		var err error
		if version == 0 {
			row.Version = 1
			n, err = t.q.InsertRequest(t.ctx, query.InsertRequestParams(row))
		} else {
			n, err = t.q.UpdateRequest(t.ctx, query.UpdateRequestParams{
				PublicID: row.PublicID, Status: row.Status, Title: row.Title, Description: row.Description, ProcedureName: row.ProcedureName,
				Siret: row.Siret, Organization: row.Organization, PreviousID: row.PreviousID, Scopes: row.Scopes, Contacts: row.Contacts,
				Authorizations: row.Authorizations, SearchText: row.SearchText, FirstSubmittedAt: row.FirstSubmittedAt,
				ValidatedAt: row.ValidatedAt, RevokedAt: row.RevokedAt, ArchivedAt: row.ArchivedAt, DeletedAtSource: row.DeletedAtSource,
				PurgeAt: row.PurgeAt, PurgedAt: row.PurgedAt, Tombstone: row.Tombstone, LastFiredAt: row.LastFiredAt, LastRank: row.LastRank,
				LastGrantAt: row.LastGrantAt, LastGrantRank: row.LastGrantRank, UpdatedAt: row.UpdatedAt, ID: row.ID, Version: row.Version,
			})
		}
		if err == nil && n != 1 {
			err = errChanged
		}
		if err != nil {
			return err
		}
		// Not by a trigger: SQLite then copies each page the statement changes, to be
		// able to undo half of it.
		return t.q.QueueRequest(t.ctx, row.ID)
	})
}

// A token's index in the status list is drawn at random in a window, so that it
// does not tell in which order tokens were issued, and the next window begins
// when draws fall on taken indices, which is when about half are. A window is
// small because what is written together should lie together: drawn from the
// whole list, each index is one more page in each commit.
const (
	indexWindow = 4096
	indexTries  = 8
)

func (t *grantTx) Issue(token *grant.Token) error {
	token.Version = 1
	row := query.InsertTokenParams{
		ID: string(token.ID), RequestID: string(token.RequestID), AuthorizationID: token.Authorization, Scopes: asJSON(token.Scopes),
		Title: token.Title, LegacyID: token.LegacyID, IssuedAt: micros(token.IssuedAt), ExpiresAt: micros(token.ExpiresAt),
		Reminders: asJSON(token.Reminders), Limits: limitText(token.Limit),
	}
	return t.do(func(t *tx) error { return t.insertToken(row) })
}

// insertToken writes a token under an index that no other ever had.
func (t *tx) insertToken(row query.InsertTokenParams) error {
	// Where other processes are is not known here; taken indices tell.
	window := t.store.indexWindow.Load()
	if window == 0 {
		newest, err := t.q.NewestStatusIndex(t.ctx)
		if err != nil {
			return err
		}
		window = 1 + newest/indexWindow
	}
	for ; ; window++ {
		for range indexTries {
			row.StatusIndex = (window-1)*indexWindow + t.store.clock.Intn(indexWindow)
			n, err := t.q.InsertToken(t.ctx, row)
			if err != nil || n == 1 {
				t.store.indexWindow.Store(window)
				return err
			}
		}
	}
}

func (t *grantTx) Amend(token *grant.Token) error {
	row := query.AmendTokenParams{
		AuthorizationID: token.Authorization, Scopes: asJSON(token.Scopes), Title: token.Title, ExpiresAt: micros(token.ExpiresAt),
		BlockAt: micros(token.BlockAt), BlockReason: token.BlockReason, Reminders: asJSON(token.Reminders), Limits: limitText(token.Limit), ID: string(token.ID),
		Version: token.Version,
	}
	token.Version++
	return t.do(func(t *tx) error {
		n, err := t.q.AmendToken(t.ctx, row)
		if err == nil && n != 1 {
			err = errChanged
		}
		return err
	})
}

func (t *grantTx) Block(ids []guichet.ID, at time.Time, reason string) (int, error) {
	switch {
	case len(ids) == 0:
		return 0, nil
	case t.rehearsal != nil:
		return 0, errOnlyInTurn // how many, the database tells
	}
	t.locking = "the blocklist"
	seq, err := t.endOfBlocklist()
	if err != nil {
		return 0, err
	}
	blocked := 0
	for _, id := range ids {
		index, err := t.q.BlockToken(t.ctx, query.BlockTokenParams{ID: string(id), BlockedAt: micros(at), BlockReason: reason})
		if errors.Is(err, sql.ErrNoRows) {
			continue // blocked before
		}
		if err != nil {
			return 0, err
		}
		seq++
		blocked++
		if err := t.q.InsertBlocked(t.ctx, query.InsertBlockedParams{Seq: seq, TokenID: string(id), StatusIndex: index, At: micros(at)}); err != nil {
			return 0, err
		}
	}
	t.touch(BlocklistRaised)
	return blocked, t.advanceBlocklist(seq)
}

func (t *grantTx) Resolve(id guichet.ID, at time.Time) error {
	_, err := t.q.ResolveDelivery(t.ctx, query.ResolveDeliveryParams{ID: string(id), ResolvedAt: micros(at)})
	return err
}

func (t *grantTx) WipeBodies(provider, externalID string) error {
	return t.q.WipeBodies(t.ctx, provider+"/"+externalID)
}

// searchText is what LIKE looks in: lower case, no accents, one space between
// words.
func searchText(parts ...string) string {
	size := 0
	for _, part := range parts {
		size += len(part) + 1
	}
	b := make([]byte, 0, size)
	for _, part := range parts {
		blank := true // what comes next begins a word
		for _, r := range part {
			switch {
			case unicode.IsSpace(r):
				blank = true
				continue
			case blank && len(b) > 0:
				b = append(b, ' ')
			}
			blank = false
			if r < utf8.RuneSelf {
				b = append(b, byte(unicode.ToLower(r)))
				continue
			}
			for _, base := range norm.NFD.String(string(unicode.ToLower(r))) { // é is e and an accent
				if !unicode.Is(unicode.Mn, base) {
					b = utf8.AppendRune(b, base)
				}
			}
		}
	}
	return string(b)
}

// like makes a pattern that finds the words as they stand.
func like(search string) string {
	if search = searchText(search); search == "" {
		return ""
	}
	return "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(search) + "%"
}

func rowOf(r grant.Request) query.Request {
	search := []string{r.ExternalID, r.Title, r.Organization, r.SIRET}
	for _, c := range r.Contacts {
		search = append(search, c.Email, c.Name())
	}
	return query.Request{
		ID: string(r.ID), Provider: r.Provider, ExternalID: r.ExternalID, PublicID: r.PublicID, Status: string(r.Status), Title: r.Title,
		Description: r.Description, ProcedureName: r.Procedure, Siret: r.SIRET, Organization: r.Organization, PreviousID: r.PreviousID,
		Scopes: asJSON(r.Scopes), Contacts: asJSON(r.Contacts), Authorizations: asJSON(r.Authorizations), SearchText: searchText(search...),
		FirstSubmittedAt: micros(r.FirstSubmittedAt), ValidatedAt: micros(r.ValidatedAt), RevokedAt: micros(r.RevokedAt),
		ArchivedAt: micros(r.ArchivedAt), DeletedAtSource: micros(r.DeletedAtSource), PurgeAt: micros(r.PurgeAt), PurgedAt: micros(r.PurgedAt),
		Tombstone: r.Tombstone, LastFiredAt: micros(r.Last.FiredAt), LastRank: int64(r.Last.Rank), LastGrantAt: micros(r.LastGrant.FiredAt),
		LastGrantRank: int64(r.LastGrant.Rank), CreatedAt: micros(r.CreatedAt), UpdatedAt: micros(r.UpdatedAt), Version: r.Version,
	}
}

func requestOf(row query.Request) (r grant.Request, err error) {
	r = grant.Request{
		ID: guichet.ID(row.ID), Provider: row.Provider, ExternalID: row.ExternalID, PublicID: row.PublicID, Status: grant.Status(row.Status),
		Title: row.Title, Description: row.Description, Procedure: row.ProcedureName, SIRET: row.Siret, Organization: row.Organization,
		PreviousID: row.PreviousID, FirstSubmittedAt: instant(row.FirstSubmittedAt), ValidatedAt: instant(row.ValidatedAt),
		RevokedAt: instant(row.RevokedAt), ArchivedAt: instant(row.ArchivedAt), DeletedAtSource: instant(row.DeletedAtSource),
		PurgeAt: instant(row.PurgeAt), PurgedAt: instant(row.PurgedAt), Tombstone: row.Tombstone,
		Last:      grant.Moment{FiredAt: instant(row.LastFiredAt), Rank: int(row.LastRank)},
		LastGrant: grant.Moment{FiredAt: instant(row.LastGrantAt), Rank: int(row.LastGrantRank)},
		CreatedAt: instant(row.CreatedAt), UpdatedAt: instant(row.UpdatedAt), Version: row.Version,
	}
	var errs [3]error
	r.Scopes, errs[0] = fromJSON[[]string](row.Scopes)
	r.Contacts, errs[1] = fromJSON[[]grant.Contact](row.Contacts)
	r.Authorizations, errs[2] = fromJSON[[]grant.Authorization](row.Authorizations)
	return r, errors.Join(errs[:]...)
}

func limitText(l guichet.Limit) string {
	if l.IsZero() {
		return ""
	}
	return asJSON(l)
}

func tokenOf(row query.Token) (t grant.Token, err error) {
	t = grant.Token{
		ID: guichet.ID(row.ID), RequestID: guichet.ID(row.RequestID), Authorization: row.AuthorizationID, StatusIndex: row.StatusIndex,
		Title: row.Title, LegacyID: row.LegacyID, IssuedAt: instant(row.IssuedAt), ExpiresAt: instant(row.ExpiresAt),
		BlockAt: instant(row.BlockAt), BlockedAt: instant(row.BlockedAt), BlockReason: row.BlockReason, Version: row.Version,
	}
	var errs [3]error
	t.Scopes, errs[0] = fromJSON[[]string](row.Scopes)
	t.Reminders, errs[1] = fromJSON[[]int](row.Reminders)
	if row.Limits != "" {
		t.Limit, errs[2] = fromJSON[guichet.Limit](row.Limits)
	}
	return t, errors.Join(errs[:]...)
}
