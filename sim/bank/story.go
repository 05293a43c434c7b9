package simbank

import "strings"

// A Story is what happens to the customers whose login begins with its name.
type Story struct {
	Name string
	Tale string // for people, in French

	wrongPassword bool   // no password is right
	banned        bool   // the bank closed this customer's access
	renew         bool   // the password must be renewed first
	terms         bool   // new terms must be accepted first
	factors       []step // what the bank asks for on a device it does not know
	always        string // the fault that strikes every page once the login is known
	garbled       bool   // pages of accounts come broken
	many          bool   // a very long history
}

// stories in the order they are shown. The first is also what plays for a login
// that begins with no name of this list.
var stories = []Story{
	{Name: "simple", Tale: "Identifiant et mot de passe suffisent."},
	{Name: "otp", Tale: "Code reçu par SMS : 123456. Tout autre code est faux ; le troisième bloque l’accès.", factors: []step{stepCode}},
	{Name: "app-otp", Tale: "Validation dans l’application, puis code par SMS.", factors: []step{stepApp, stepCode}},
	{Name: "app", Tale: "Validation dans l’application, acquise 3 secondes après la demande.", factors: []step{stepApp}},
	{Name: "choice", Tale: "La banque propose plusieurs moyens (SMS, application, courriel) et n’envoie rien avant le choix. Code : 123456.", factors: []step{stepChoice}},
	{Name: "redirect", Tale: "Autorisation sur le site de la banque, puis retour avec un code à usage unique.", factors: []step{stepAuthorize}},
	{Name: "captcha", Tale: "Chiffres à recopier depuis une image.", factors: []step{stepCaptcha}},
	{Name: "wrongpass", Tale: "Tous les mots de passe sont faux.", wrongPassword: true},
	{Name: "expiredpass", Tale: "Mot de passe à renouveler avant toute chose.", renew: true},
	{Name: "banned", Tale: "Accès fermé par la banque.", banned: true},
	{Name: "terms", Tale: "Nouvelles conditions générales à accepter.", terms: true},
	{Name: "outage", Tale: "Site en panne (503).", always: FaultUnavailable},
	{Name: "slow", Tale: "Chaque réponse prend 2 secondes.", always: FaultSlow},
	{Name: "garbage", Tale: "Pages de comptes cassées.", garbled: true},
	{Name: "hang", Tale: "Le site ne répond jamais.", always: FaultHang},
	{Name: "many", Tale: "100 000 opérations sur le compte courant.", many: true},
}

// Stories lists what the bank can play.
func Stories() []Story { return append([]Story(nil), stories...) }

// StoryOf finds the story of a login: the longest name it begins with.
func StoryOf(login string) Story {
	best, length := stories[0], 0
	for _, s := range stories {
		if len(s.Name) > length && strings.HasPrefix(login, s.Name) {
			best, length = s, len(s.Name)
		}
	}
	return best
}

// wrong tells whether the password is not this customer's: any other one is.
func (s Story) wrong(password string) bool {
	return s.wrongPassword || password == "faux" || password == "wrong"
}

// canonical is the login as the bank knows it: spaces around and capitals do
// not count.
func canonical(login string) string { return strings.ToLower(strings.TrimSpace(login)) }

// A step is what a session must still go through, or where it is.
type step string

const (
	stepPassword  step = "password"
	stepRenew     step = "renew"
	stepTerms     step = "terms"
	stepChoice    step = "choice" // of how to confirm; then one of the next two
	stepCode      step = "code"
	stepApp       step = "app"
	stepCaptcha   step = "captcha"
	stepAuthorize step = "authorize"
	stepIn        step = "in"
)

// address is the page of a step.
func (s step) address() string {
	switch s {
	case stepRenew:
		return "/password"
	case stepTerms:
		return "/terms"
	case stepChoice:
		return "/choice"
	case stepCode:
		return "/otp"
	case stepApp:
		return "/app"
	case stepCaptcha:
		return "/captcha"
	case stepAuthorize:
		return "/redirect"
	case stepIn:
		return "/accounts"
	default:
		return "/login"
	}
}
