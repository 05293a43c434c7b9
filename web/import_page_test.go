package web_test

import (
	"net/http"
	"testing"

	"guichet"
	"guichet/bank"
	"guichet/ledger"
	"guichet/store/storetest"
	"guichet/web/webtest"
)

// What only files tell of stands among the accesses as what it is: nothing there
// offers to go to a bank, and it is named, read and deleted like any other.
func TestImportedAccess(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newHouse(t, db)
		v := h.visitor("nora@guichet.test")
		done, err := h.desk.Import(t.Context(), guichet.System("test"), bank.Import{Owner: v.me.ID, Format: "ofx", Statements: []bank.Statement{{
			Account: ledger.Account{Ref: "1", Kind: ledger.Savings, Label: "Livret <A>", Balance: ledger.Money{Currency: "EUR"}},
			Transactions: []ledger.Transaction{
				{Ref: "A1", Status: ledger.Booked, BookedOn: "2026-05-04", Amount: ledger.Money{Minor: -150, Currency: "EUR"}, RawLabel: "CB CAFE DU PORT"},
			},
		}}})
		if err != nil {
			t.Fatal(err)
		}
		access := "/accesses/" + done.Accounts[0].Account.AccessID.String()
		v.get("/").is(200, "/", "Livret <A>").saysNot("Accès à jour", "0,00")
		v.get("/accesses").is(200, "/accesses", "Relevés importés", "par fichiers", "dernier fichier").saysNot("Relever", "Désactiver", "dernière relève")
		v.get("/accounts").is(200, "/accounts", "Livret <A>", "solde inconnu").saysNot("0,00", "janvier")
		v.get("/transactions?account=" + done.Accounts[0].Account.ID.String()).says("solde inconnu").saysNot("Relever")
		v.get(access).is(200, access, "Relevés importés", "par fichiers", "Supprimer").saysNot("Mot de passe", "Identifiants", "Désactiver", "Relève de nuit")
		v.get("/transactions").says("CB CAFE DU PORT")
		for _, deed := range []string{"/refresh"} {
			if p := v.post(access + deed); p.status >= http.StatusInternalServerError {
				t.Errorf("%s: %d", deed, p.status)
			}
		}
		v.post(access, "label", "Mes relevés").says("Mes relevés")
		if db.Engine() == "sqlite" {
			b := webtest.Start(t)
			for _, page := range []string{"/accesses", access} {
				for _, width := range []int64{360, 1440} {
					p := v.look(b, page, width, map[int64]string{360: "dark", 1440: "light"}[width])
					accessible(t, p)
					if wide := p.Overflow(); len(wide) > 0 {
						t.Errorf("%s is wider than %d: %q", page, width, wide)
					}
				}
			}
		}
		v.post(access + "/delete").saysNot("Mes relevés")
		if n := db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM transactions"); n != "0" {
			t.Errorf("%s transactions are left", n)
		}
	})
}
