package mail

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // letters are dated in Paris wherever the program runs
)

// A language is all that differs between two languages and is not a sentence of
// a template.
type language struct {
	code   string
	months [12]string
	// one tells whether a noun after n is singular: 0 is, in French.
	one    func(n int) bool
	at     string
	first  string // what follows the first day of a month
	paris  string
	alerts map[string]string
	oddity string // an alert whose kind is not in alerts
}

var languages = map[string]language{
	"fr": {
		code: "fr",
		months: [12]string{
			"janvier", "février", "mars", "avril", "mai", "juin",
			"juillet", "août", "septembre", "octobre", "novembre", "décembre",
		},
		one: func(n int) bool { return n < 2 }, at: "à", first: "er", paris: "heure de Paris",
		alerts: map[string]string{
			"unknown_event":             "Un événement inconnu a été reçu. Il a été conservé et n’a eu aucun effet.",
			"quarantined":               "Un message correctement signé n’a pas pu être exploité. Il attend en quarantaine.",
			"revoke_of_unknown_request": "Une demande inconnue a été révoquée. La révocation a été notée : si la demande arrive plus tard, elle restera révoquée.",
			"revoke_without_validation": "Une demande qui n’avait jamais été validée a été révoquée.",
			"revoke_after_archive":      "Une demande archivée a été révoquée. Tous ses jetons sont bloqués.",
			"partial_revocation":        "Une partie des habilitations d’une demande a été révoquée. Seuls les jetons concernés sont bloqués.",
			"late_revoke":               "Une révocation est arrivée après des événements plus récents.",
			"late_approval":             "Une validation est arrivée en retard, après des événements plus récents. Elle n’a pas été appliquée.",
			"held_approval":             "Une demande révoquée ou archivée a été validée à nouveau. Rien n’a été rétabli : une décision est attendue de votre part.",
			"archive_without_revoke":    "Une demande validée a été archivée sans avoir été révoquée. Ses jetons fonctionnent encore.",
			"event_after_revoke":        "Un événement est arrivé pour une demande déjà révoquée. Il n’a eu aucun effet.",
			"event_after_archive":       "Un événement est arrivé pour une demande archivée. Il a été appliqué : quelqu’un l’a sans doute réparée à la main.",
			"deleted_at_source":         "Une demande a été supprimée à la source. Rien n’a été supprimé ni bloqué ici.",
			"gateway_silent":            "Une passerelle ne donne plus signe de vie. Si elle tourne encore, elle refuse tous les jetons.",
			"gateway_late":              "Une passerelle n’a pas les derniers blocages. Elle refuse tout dès que son délai est passé.",
			"blocklist_went_back":       "Une passerelle a vu davantage de la liste noire que la base n’en contient : une sauvegarde a sans doute été restaurée.",
			"key_burned":                "Une clé de signature a été retirée. Les jetons qu’elle a signés sont refusés : leurs titulaires doivent en reprendre une copie.",
			"notification_failed":       "Une notification n’a pas été reçue par le système d’un fournisseur, malgré tous les essais. Elle peut être envoyée à nouveau.",
			"connector_broken":          "La relève d’un accès bancaire a échoué parce que son connecteur ne fonctionne plus. Ses données restent telles qu’elles étaient.",
		},
		oddity: "Une situation inhabituelle demande votre attention.",
	},
	"en": {
		code: "en",
		months: [12]string{
			"January", "February", "March", "April", "May", "June",
			"July", "August", "September", "October", "November", "December",
		},
		one: func(n int) bool { return n == 1 }, at: "at", paris: "Paris time",
		alerts: map[string]string{
			"unknown_event":             "An unknown event was received. It has been kept and had no effect.",
			"quarantined":               "A correctly signed message could not be used. It is waiting in quarantine.",
			"revoke_of_unknown_request": "An unknown request was revoked. The revocation has been noted: if the request arrives later, it will stay revoked.",
			"revoke_without_validation": "A request that had never been validated was revoked.",
			"revoke_after_archive":      "An archived request was revoked. All its tokens are blocked.",
			"partial_revocation":        "Some of the authorisations of a request were revoked. Only the tokens concerned are blocked.",
			"late_revoke":               "A revocation arrived after more recent events.",
			"late_approval":             "An approval arrived late, after more recent events. It was not applied.",
			"held_approval":             "A revoked or archived request was approved again. Nothing has been restored: a decision is expected from you.",
			"archive_without_revoke":    "A validated request was archived without having been revoked. Its tokens still work.",
			"event_after_revoke":        "An event arrived for a request that is already revoked. It had no effect.",
			"event_after_archive":       "An event arrived for an archived request. It was applied: someone has probably repaired it by hand.",
			"deleted_at_source":         "A request was deleted at its source. Nothing has been deleted or blocked here.",
			"gateway_silent":            "A gateway gives no sign of life any more. If it still runs, it refuses every token.",
			"gateway_late":              "A gateway does not have the latest blocks. It refuses everything as soon as its time is over.",
			"blocklist_went_back":       "A gateway has seen more of the blocklist than the database has: a backup was restored, it seems.",
			"key_burned":                "A signing key was withdrawn. The tokens it signed are refused: their holders must take a new copy.",
			"notification_failed":       "A notification was not taken by the system of a provider, in spite of all attempts. It can be sent again.",
			"connector_broken":          "Reading a bank access failed because its connector no longer works. Its data stay as they were.",
		},
		oddity: "An unusual situation needs your attention.",
	},
}

// languageOf gives the language of a mailbox; French is for everyone else.
func languageOf(code string) language {
	if l, ok := languages[code]; ok {
		return l
	}
	return languages["fr"]
}

// KnowsAlert tells whether every language has a sentence for this kind of alert.
// Another kind is still sent, with a general sentence.
func KnowsAlert(kind string) bool {
	for _, l := range languages {
		if l.alerts[kind] == "" {
			return false
		}
	}
	return true
}

var paris = func() *time.Location {
	zone, err := time.LoadLocation("Europe/Paris")
	if err != nil {
		panic("mail: " + err.Error()) // tzdata is linked in
	}
	return zone
}()

// functions are what templates may call. Those that fail make Render fail.
func (l language) functions() map[string]any {
	return map[string]any{
		"moment": l.moment, "day": l.day, "count": l.count, "list": list, "alert": l.alert,
		"language": func() string { return l.code },
	}
}

// moment writes an instant: "4 mai 2026 à 09:33 (heure de Paris)".
func (l language) moment(instant string) (string, error) {
	t, err := time.Parse(time.RFC3339, instant)
	if err != nil {
		return "", err
	}
	t = t.In(paris)
	return fmt.Sprintf("%s %s %s (%s)", l.date(t), l.at, t.Format("15:04"), l.paris), nil
}

// day writes the day of an instant: "4 mai 2026".
func (l language) day(instant string) (string, error) {
	t, err := time.Parse(time.RFC3339, instant)
	if err != nil {
		return "", err
	}
	return l.date(t.In(paris)), nil
}

func (l language) date(t time.Time) string {
	suffix := ""
	if t.Day() == 1 {
		suffix = l.first
	}
	return fmt.Sprintf("%d%s %s %d", t.Day(), suffix, l.months[t.Month()-1], t.Year())
}

// count chooses among three wordings: for none, for one, for more; "%" in it is
// the number.
func (l language) count(number, none, one, more string) (string, error) {
	n, err := strconv.Atoi(number)
	if err != nil {
		return "", err
	}
	wording := more
	switch {
	case n == 0:
		wording = none
	case l.one(n):
		wording = one
	}
	return strings.ReplaceAll(wording, "%", number), nil
}

// list cuts a list at its commas and spaces.
func list(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
}

func (l language) alert(kind string) string {
	if sentence, ok := l.alerts[kind]; ok {
		return sentence
	}
	return l.oddity
}
